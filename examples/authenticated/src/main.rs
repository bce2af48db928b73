//! A custom client: every request carries an API key, and redirects are not followed.
//!
//! ```text
//! cargo run -p authenticated -- once -e USER_NAME=ann
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use golo::Shared;
use golo::reqwest::{self, Client, ClientBuilder, header};
use serde::Deserialize;

/// `client = own` makes golo build every client with this function. The builder already has golo's defaults.
fn own(builder: ClientBuilder) -> reqwest::Result<Client> {
    let agent = header::HeaderValue::from_static("golo-example");
    let key = header::HeaderValue::from_static("of this load test");
    let headers = [(header::USER_AGENT, agent), (header::HeaderName::from_static("x-api-key"), key)];
    builder.default_headers(headers.into_iter().collect()).redirect(reqwest::redirect::Policy::none()).build()
}

struct Session {
    account: String,
    token: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

/// Logs in once for the whole run. These requests are not measured.
async fn log_in() -> Result<Session, golo::BoxError> {
    let url = golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn);
    let url = url.trim_end_matches('/');
    let user = golo::param("USER_NAME").unwrap_or_else(|| "ann".to_owned());
    let login = serde_json::json!({ "user": user, "password": "secret" });
    let response = golo::client().post(format!("{url}/login")).json(&login).send().await?;
    let Token { token } = response.error_for_status()?.json().await?;
    Ok(Session { account: format!("{url}/account"), token })
}

#[golo::loadtest(setup = log_in, client = own)]
async fn authenticated(session: Shared<Session>) -> Result<(), golo::RequestError> {
    let visit = golo::new_sequence_id();
    let account = golo::client().get(&session.account).bearer_auth(&session.token);
    golo::request(&visit, account).expect_status(200).send().await?;
    Ok(())
}
