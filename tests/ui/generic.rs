#[golo::loadtest]
async fn journey<T: Default + Send>(context: golo::Context) {
    let _ = (context, T::default());
}
