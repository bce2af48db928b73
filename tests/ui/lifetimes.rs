struct Shopper;

#[golo::loadtest]
async fn journey<'a>(shopper: &'a mut Shopper) {
    let _ = shopper;
}
