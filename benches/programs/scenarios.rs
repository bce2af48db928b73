//! The example `hello` as three scenarios that do the same.

#[golo::loadtest(setup = target)]
mod hello {
    use golo::{BoxError, RequestError, Shared, reqwest::Url};

    async fn target() -> Result<Url, BoxError> {
        Ok(golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn).parse()?)
    }

    #[golo::scenario(weight = 70)]
    async fn browse(target: Shared<Url>) -> Result<(), RequestError> {
        let journey = golo::new_sequence_id();
        golo::do_request(&journey, golo::client().get(Url::clone(&target))).await?;
        Ok(())
    }

    #[golo::scenario(weight = 25)]
    async fn search(target: Shared<Url>) -> Result<(), RequestError> {
        let journey = golo::new_sequence_id();
        golo::do_request(&journey, golo::client().get(Url::clone(&target))).await?;
        Ok(())
    }

    #[golo::scenario(weight = 5)]
    async fn buy(target: Shared<Url>) -> Result<(), RequestError> {
        let journey = golo::new_sequence_id();
        golo::do_request(&journey, golo::client().get(Url::clone(&target))).await?;
        Ok(())
    }
}
