#[golo::loadtest]
mod shop {
    #[golo::scenario]
    async fn browse() {}

    #[golo::scenario(name = "browse")]
    async fn search() {}
}
