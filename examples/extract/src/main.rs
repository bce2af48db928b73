//! Correlation: the token of a sign-in form, a number in a page, and an ID in JSON go into the requests that follow.
//!
//! ```text
//! cargo run -p extract -- once
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use golo::extract::Document;
use golo::reqwest::Url;
use golo::{BoxError, Shared};

async fn target() -> Result<Url, BoxError> {
    Ok(golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn).parse()?)
}

#[golo::loadtest(setup = target)]
async fn extract(shop: Shared<Url>) -> Result<(), BoxError> {
    let visit = golo::new_sequence_id();
    let client = golo::client();

    // By CSS selector: the hidden field of the form, and where the form goes.
    let page = golo::do_request(&visit, client.get(shop.join("sign-in")?)).await?;
    let page = Document::read(page).await?;
    let csrf = page.css("form input[name=csrf]", "value")?;
    let action = page.url().join(&page.css("form", "action")?)?;

    let form = [("user", "ada"), ("password", "secret"), ("csrf", &csrf)];
    let welcome = golo::request(&visit, client.post(action).form(&form)).expect_status(200).send().await?;
    let welcome = Document::read(welcome).await?;
    golo::check("the page greets the user", welcome.css_text("h1")? == "Welcome, ada");

    // By regular expression: a part of the text of an element.
    let customer = welcome.regex(r"customer number is (C-\d+)")?;
    golo::check("the user has a number", customer == "C-000294");

    // By JSON pointer: the ID of the first item.
    let items = welcome.url().join(&welcome.css("a.next", "href")?)?;
    let items = Document::read(golo::do_request(&visit, client.get(items)).await?).await?;
    let id: u64 = items.json("/0/id")?;

    let item = client.get(shop.join(&format!("items/{id}"))?);
    golo::request(&visit, item)
        .route("/items/{id}")
        .check("it is the item of the list", move |item| Document::of(item).json::<u64>("/id").is_ok_and(|of| of == id))
        .send()
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn values_of_the_sample_service_are_found() {
        extract(Shared::new(target().await.unwrap())).await.unwrap();
    }

    #[tokio::test]
    async fn page_without_the_form_is_described() {
        let service = sample_service::start().unwrap();
        let other = Url::parse(&service.url_of("/status/503/")).unwrap();
        let error = extract(Shared::new(other)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no element matches `form input[name=csrf]` in the body: it begins with `{\"error\":\"no such path\"}` \
             (status 404)"
        );
    }
}
