struct Shopper;

#[golo::loadtest]
async fn journey(shopper: &mut Shopper) {
    let _ = shopper;
}
