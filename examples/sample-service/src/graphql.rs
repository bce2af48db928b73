//! GraphQL as a client sees it: one endpoint, and errors with the status 200. The operation is chosen by its name; the
//! query is not parsed.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};

use crate::refusal::{Refusal, json_body};
use crate::shop::Item;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    operation_name: String,
    #[serde(default)]
    variables: Variables,
}

#[derive(Default, Deserialize)]
struct Variables {
    id: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Data {
    Item(Item),
}

#[derive(Serialize)]
struct GraphQlError {
    message: String,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    data: Option<Data>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<GraphQlError>,
}

pub(crate) async fn graphql(operation: Result<Json<Operation>, JsonRejection>) -> Result<Json<Answer>, Refusal> {
    let shape = r#"{"operationName": "Item", "query": "…", "variables": {"id": 7}}"#;
    let Operation { operation_name, variables: Variables { id } } = json_body(operation, shape)?;
    let found = match (&*operation_name, id) {
        ("Item", Some(id)) => Item::find(id).map(Data::Item).ok_or_else(|| format!("no item `{id}`")),
        ("Item", None) => Err("the operation `Item` needs the variable `id`".to_owned()),
        (other, _) => Err(format!("unknown operation `{other}`: expected `Item`")),
    };
    Ok(Json(match found {
        Ok(data) => Answer { data: Some(data), errors: Vec::new() },
        Err(message) => Answer { data: None, errors: vec![GraphQlError { message }] },
    }))
}
