#[golo::loadtest]
mod shop {
    async fn browse() {}
}
