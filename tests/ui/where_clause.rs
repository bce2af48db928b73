#[golo::loadtest]
async fn journey()
where
    String: Clone,
{
}
