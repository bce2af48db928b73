//! Tests of the pages with a form, of uploads and of GraphQL.

use reqwest::header::SET_COOKIE;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, StatusCode};
use sample_service::{PASSWORD, SampleService};
use serde_json::{Value, json};

use crate::support::{assert_refused, content_type, get, set_up};

async fn sign_in(service: &SampleService, client: &Client, csrf: &str, password: &str) -> Response {
    let form = [("user", "a<b"), ("password", password), ("csrf", csrf)];
    client.post(service.url_of("/session")).form(&form).send().await.unwrap()
}

#[tokio::test]
async fn form_needs_the_token_of_its_page() {
    let (service, client) = set_up();
    let page = get(&service, &client, "/sign-in").await;
    assert!(content_type(&page).starts_with("text/html"));
    let page = page.text().await.unwrap();
    let (_, csrf) = page.split_once(r#"name="csrf" value=""#).unwrap();
    let (csrf, _) = csrf.split_once('"').unwrap();

    let response = sign_in(&service, &client, "0", PASSWORD).await;
    assert_refused(response, StatusCode::FORBIDDEN, "`csrf`").await;
    let response = sign_in(&service, &client, csrf, "guess").await;
    assert_refused(response, StatusCode::UNAUTHORIZED, "password").await;
    let response = sign_in(&service, &client, csrf, PASSWORD).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let page = response.text().await.unwrap();
    assert!(page.contains("Welcome, <b>a&lt;b</b>") && page.contains("C-000"), "{page}");

    let account = client.get(service.url_of("/account")).header("cookie", cookie.split(';').next().unwrap());
    assert_eq!(account.send().await.unwrap().json::<Value>().await.unwrap(), json!({ "user": "a<b" }));
    let response = client.post(service.url_of("/session")).form(&[("user", "ada")]).send().await.unwrap();
    assert_refused(response, StatusCode::UNPROCESSABLE_ENTITY, "`csrf`").await;
}

#[tokio::test]
async fn upload_lists_the_files_of_the_form() {
    let (service, client) = set_up();
    let file = Part::bytes(vec![7; 3 * 1024 * 1024]).file_name("seven.bin");
    let form = Form::new().text("title", "sevens").part("file", file);
    let response = client.post(service.url_of("/upload")).multipart(form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let files = json!([{ "name": "seven.bin", "bytes": 3 * 1024 * 1024 }]);
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "files": files }));

    let form = Form::new().text("title", "nothing");
    for request in [client.post(service.url_of("/upload")).multipart(form), client.post(service.url_of("/upload"))] {
        assert_refused(request.send().await.unwrap(), StatusCode::BAD_REQUEST, "with a file").await;
    }
}

#[tokio::test]
async fn graphql_answers_errors_with_status_200() {
    let (service, client) = set_up();
    for (name, variables, answer) in [
        ("Item", json!({ "id": 7 }), json!({ "data": { "item": { "id": 7, "name": "item 7", "price": 549 } } })),
        ("Item", json!({ "id": 0 }), json!({ "data": null, "errors": [{ "message": "no item `0`" }] })),
        (
            "Cart",
            json!({}),
            json!({ "data": null, "errors": [{ "message": "unknown operation `Cart`: expected `Item`" }] }),
        ),
    ] {
        let operation = json!({ "operationName": name, "query": "query", "variables": variables });
        let response = client.post(service.url_of("/graphql")).json(&operation).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.json::<Value>().await.unwrap(), answer);
    }
    let response = client.post(service.url_of("/graphql")).json(&json!([])).send().await.unwrap();
    assert_refused(response, StatusCode::UNPROCESSABLE_ENTITY, "operationName").await;
}
