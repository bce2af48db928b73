#[golo::loadtest]
mod shop {
    #[golo::scenario(weight = 5, users = 3)]
    async fn browse() {}
}
