struct Shopper;

impl Shopper {
    #[golo::loadtest]
    async fn journey(&mut self) {}
}

fn main() {}
