#[golo::loadtest]
mod shop {
    #[golo::scenario]
    fn browse() {
        let _ = golo::client();
    }
}
