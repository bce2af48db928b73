#[golo::scenario]
async fn browse() {}

fn main() {}
