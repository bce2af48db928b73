#[golo::loadtest]
mod shop {
    #[golo::scenario(weight = "5")]
    async fn browse() {}
}
