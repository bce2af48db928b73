#[golo::loadtest]
mod shop {
    #[golo::scenario]
    #[golo::scenario]
    async fn browse() {}
}
