#[golo::loadtest]
mod shop {
    #[golo::scenario]
    struct Browse;
}
