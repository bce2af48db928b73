#[golo::loadtest]
mod shop {
    #[golo::scenario]
    async fn browse(_: u32) {}
}
