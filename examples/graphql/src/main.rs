//! GraphQL: all operations go to one URL, so each has its own route. The server reports errors with the status 200, so
//! an expectation looks for them.
//!
//! ```text
//! cargo run -p graphql -- once
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use golo::reqwest::Url;
use golo::{BoxError, Received, Shared};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const ITEM: &str = "query Item($id: Int!) { item(id: $id) { id name price } }";

/// A request to a GraphQL server.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation<'a, V> {
    operation_name: &'a str,
    query: &'a str,
    variables: V,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    message: String,
}

/// Fails a request by the first error in its body.
fn has_no_errors(response: &Received<'_>) -> Result<(), BoxError> {
    let answer: Answer<Present> = response.json()?;
    match answer.errors.into_iter().next() {
        Some(error) => Err(error.message.into()),
        None => Ok(()),
    }
}

/// Any data.
#[derive(Deserialize)]
struct Present {}

/// Sends an operation as a request whose route is the operation's name, and returns its data.
async fn operation<T: DeserializeOwned>(
    journey: &str,
    server: &Url,
    name: &str,
    query: &str,
    variables: impl Serialize,
) -> Result<T, BoxError> {
    let operation = Operation { operation_name: name, query, variables };
    let request = golo::client().post(server.clone()).json(&operation);
    let response = golo::request(journey, request).route(name).expect(has_no_errors).send().await?;
    let answer: Answer<T> = response.json().await?;
    answer.data.ok_or_else(|| format!("the operation {name} returned no data").into())
}

async fn target() -> Result<Url, BoxError> {
    let url: Url = golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn).parse()?;
    Ok(url.join("graphql")?)
}

#[derive(Serialize)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
struct ItemData {
    item: Item,
}

#[derive(Deserialize)]
struct Item {
    id: u64,
}

#[golo::loadtest(setup = target)]
async fn graphql(server: Shared<Url>) -> Result<(), BoxError> {
    let journey = golo::new_sequence_id();
    let ItemData { item } = operation(&journey, &server, "Item", ITEM, Id { id: 7 }).await?;
    golo::check("it is the item that was asked for", item.id == 7);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use golo::{Context, Loadtest, OutputRef, Sink};

    use super::*;

    #[tokio::test]
    async fn load_test_passes_against_the_sample_service() {
        graphql(Shared::new(target().await.unwrap())).await.unwrap();
    }

    /// Keeps route, status and error of each request as a text.
    #[derive(Clone, Default)]
    struct Outputs(Arc<Mutex<Vec<String>>>);

    impl Sink for Outputs {
        fn output(&self, output: &OutputRef<'_>) {
            let (route, error) = (output.route.as_deref().unwrap_or("none"), output.error.as_deref().unwrap_or("ok"));
            self.0.lock().unwrap().push(format!("{route} {}: {error}", output.status));
        }
    }

    #[tokio::test]
    async fn error_in_the_body_fails_the_request() {
        let outputs = Outputs::default();
        let load_test = Loadtest::new(|_, _| async {
            let server = target().await?;
            operation::<ItemData>("journey", &server, "Item", ITEM, Id { id: 0 }).await.map(drop)
        });
        let response = load_test.sink(outputs.clone()).trigger(Context::default()).await;
        assert!(response.error && response.output.contains("no data"), "{}", response.output);
        assert_eq!(*outputs.0.lock().unwrap(), ["Item 200: content: no item `0`"]);
    }
}
