#[golo::loadtest]
struct Shopper {
    name: String,
}
