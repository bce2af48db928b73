#[golo::loadtest]
mod shop {
    #[golo::scenario(wieght = 5)]
    async fn browse() {}
}
