//! Tests of the shop: items, login, purchases.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use sample_service::{ITEMS, PASSWORD, SampleService, start};
use serde::Deserialize;

use crate::support::{assert_refused, builder, get, set_up};

#[derive(Debug, Deserialize, PartialEq)]
struct Item {
    id: u64,
    name: String,
    price: u64,
}

#[tokio::test]
async fn items_are_listed_and_found() {
    let (service, client) = set_up();
    let items: Vec<Item> = get(&service, &client, "/items").await.json().await.unwrap();
    assert!(items.iter().map(|item| item.id).eq(1..=ITEMS));
    for id in [1, 7, ITEMS] {
        let item: Item = get(&service, &client, &format!("/items/{id}")).await.json().await.unwrap();
        assert!(items.contains(&item));
    }
    for id in ["0", "101", "-1", "abc"] {
        let response = get(&service, &client, &format!("/items/{id}")).await;
        assert_refused(response, StatusCode::NOT_FOUND, &format!("`{id}`")).await;
    }
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Account {
    user: String,
}

#[derive(Deserialize)]
struct Order {
    order: u64,
}

async fn log_in(service: &SampleService, client: &Client, user: &str, password: &str) -> Response {
    let credentials = serde_json::json!({ "user": user, "password": password });
    client.post(service.url_of("/login")).json(&credentials).send().await.unwrap()
}

#[tokio::test]
async fn login_returns_a_cookie_and_a_token() {
    let (service, client) = set_up();
    let response = log_in(&service, &client, "ada", PASSWORD).await;
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let Token { token } = response.json().await.unwrap();
    assert!(cookie.starts_with(&format!("session={token}; ")), "{cookie}");

    let account = || client.get(service.url_of("/account"));
    let bearer = account().bearer_auth(&token);
    let lower_case = account().header(AUTHORIZATION, format!("bearer {token}"));
    let among_cookies = account().header(COOKIE, format!("theme=dark; session={token}"));
    let stale_bearer = account().bearer_auth("0").header(COOKIE, format!("session={token}"));
    for request in [bearer, lower_case, among_cookies, stale_bearer] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.json::<Account>().await.unwrap().user, "ada");
    }

    let strangers = [account(), account().bearer_auth("secret"), account().header(COOKIE, "session=")];
    for request in strangers {
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
        assert_refused(response, StatusCode::UNAUTHORIZED, "not signed in").await;
    }
}

#[tokio::test]
async fn cookie_jar_keeps_each_client_signed_in() {
    let service = start().unwrap();
    for user in ["ada", "grace"] {
        let client = builder().cookie_store(true).build().unwrap();
        assert_eq!(get(&service, &client, "/account").await.status(), StatusCode::UNAUTHORIZED);
        log_in(&service, &client, user, PASSWORD).await;
        let account: Account = get(&service, &client, "/account").await.json().await.unwrap();
        assert_eq!(account.user, user);
    }
}

#[tokio::test]
async fn bad_credentials_are_refused() {
    let (service, client) = set_up();
    let wrong = log_in(&service, &client, "ada", "guess").await;
    assert!(!wrong.headers().contains_key(SET_COOKIE));
    assert_refused(wrong, StatusCode::UNAUTHORIZED, "wrong password").await;
    for user in ["", &"x".repeat(65)] {
        let response = log_in(&service, &client, user, PASSWORD).await;
        assert_refused(response, StatusCode::BAD_REQUEST, "`user`").await;
    }
    let no_json = client.post(service.url_of("/login")).body("ada:secret").send().await.unwrap();
    assert_refused(no_json, StatusCode::UNSUPPORTED_MEDIA_TYPE, "JSON").await;
}

#[tokio::test]
async fn buying_needs_a_session_and_an_item() {
    let (service, client) = set_up();
    let buy =
        |json: &'static str| client.post(service.url_of("/buy")).header(CONTENT_TYPE, "application/json").body(json);
    assert_refused(buy("{").send().await.unwrap(), StatusCode::UNAUTHORIZED, "not signed in").await;

    let Token { token } = log_in(&service, &client, "ada", PASSWORD).await.json().await.unwrap();
    for number in 1..=2 {
        let response = buy(r#"{"item": 100}"#).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.json::<Order>().await.unwrap().order, number);
    }
    let unknown = buy(r#"{"item": 101}"#).bearer_auth(&token).send().await.unwrap();
    assert_refused(unknown, StatusCode::NOT_FOUND, "no item `101`").await;
    let broken = buy("{").bearer_auth(&token).send().await.unwrap();
    assert_refused(broken, StatusCode::BAD_REQUEST, r#"{"item": 1}"#).await;
}

#[tokio::test]
async fn services_share_no_sessions_and_no_counts() {
    let (first, client) = set_up();
    let second = start().unwrap();
    let Token { token } = log_in(&first, &client, "ada", PASSWORD).await.json().await.unwrap();
    let response = client.get(second.url_of("/account")).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(first.counter().routes["/login"], 1);
    assert_eq!(second.counter().routes["/login"], 0);
}
