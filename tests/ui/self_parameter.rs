#[golo::loadtest]
async fn journey(&mut self) {}
