struct Shopper;

#[golo::loadtest]
async fn journey(shopper: &'static mut Shopper) {
    let _ = shopper;
}
