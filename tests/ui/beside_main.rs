#[golo::loadtest]
async fn journey() {}

fn main() {}
