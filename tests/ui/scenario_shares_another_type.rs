#[golo::loadtest(setup = prepare)]
mod shop {
    async fn prepare() -> u32 {
        1
    }

    #[golo::scenario]
    async fn browse(_: golo::Shared<u32>) {}

    #[golo::scenario]
    async fn search(_: golo::Shared<String>) {}
}
