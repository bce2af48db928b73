struct Shopper;

impl golo::User for Shopper {
    async fn start(_: &golo::Context) -> Result<Self, golo::BoxError> {
        Ok(Shopper)
    }
}

#[golo::loadtest]
async fn journey(first: &mut Shopper, second: &mut Shopper) {
    let _ = (first, second);
}
