#[golo::loadtest]
mod shop {
    #[golo::scenario]
    async fn browse() -> u32 {
        1
    }
}
