struct Shopper<'a>(&'a str);

#[golo::loadtest]
async fn journey(shopper: &mut Shopper<'_>) {
    let _ = shopper.0;
}
