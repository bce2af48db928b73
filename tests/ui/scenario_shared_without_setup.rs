#[golo::loadtest]
mod shop {
    #[golo::scenario]
    async fn browse(_: golo::Shared<u32>) {}
}
