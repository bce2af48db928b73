#[golo::loadtest]
#[tokio::main]
async fn main() {}
