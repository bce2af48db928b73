//! A small shop: items, login, purchases.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

use crate::refusal::{Refusal, json_body};
use crate::routes::Service;
use crate::session::{COOKIE_NAME, PASSWORD, SignedIn};

/// Number of items. Their IDs are 1 to this number.
pub const ITEMS: u64 = 100;

const LONGEST_USER_NAME: usize = 64;

#[derive(Serialize)]
pub(crate) struct Item {
    id: u64,
    name: String,
    price: u64,
}

impl Item {
    pub(crate) fn find(id: u64) -> Option<Self> {
        (1..=ITEMS).contains(&id).then(|| Self { id, name: format!("item {id}"), price: 199 + id * 50 })
    }
}

fn no_item(id: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("no item `{id}`"))
}

pub(crate) async fn items() -> impl IntoResponse {
    static LIST: LazyLock<Bytes> = LazyLock::new(|| {
        let items: Vec<_> = (1..=ITEMS).filter_map(Item::find).collect();
        #[expect(clippy::expect_used, reason = "numbers and strings always serialise")]
        let list = serde_json::to_vec(&items).expect("items serialise");
        list.into()
    });
    ([(CONTENT_TYPE, "application/json")], LIST.clone())
}

pub(crate) async fn item(Path(id): Path<String>) -> Result<impl IntoResponse, Refusal> {
    id.parse().ok().and_then(Item::find).map(Json).ok_or_else(|| no_item(&id))
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    user: String,
    password: String,
}

#[derive(Serialize)]
struct Token {
    token: String,
}

pub(crate) async fn login(
    State(service): State<Arc<Service>>,
    credentials: Result<Json<Credentials>, JsonRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let Credentials { user, password } = json_body(credentials, r#"{"user": "ada", "password": "secret"}"#)?;
    if user.is_empty() || user.len() > LONGEST_USER_NAME {
        let error = format!("`user` must have 1 to {LONGEST_USER_NAME} bytes");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, error));
    }
    if password != PASSWORD {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "wrong password"));
    }
    let token = service
        .sessions
        .begin(&user)
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the system has no randomness for a token"))?;
    let cookie = format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Lax");
    Ok(([(SET_COOKIE, cookie)], Json(Token { token })))
}

#[derive(Serialize)]
struct Account {
    user: String,
}

pub(crate) async fn account(SignedIn(user): SignedIn) -> impl IntoResponse {
    Json(Account { user: String::from(&*user) })
}

#[derive(Deserialize)]
pub(crate) struct Purchase {
    item: u64,
}

#[derive(Serialize)]
struct Order {
    order: u64,
}

pub(crate) async fn buy(
    State(service): State<Arc<Service>>,
    _user: SignedIn,
    purchase: Result<Json<Purchase>, JsonRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let Purchase { item } = json_body(purchase, r#"{"item": 1}"#)?;
    if Item::find(item).is_none() {
        return Err(no_item(&item.to_string()));
    }
    let order = service.orders.fetch_add(1, Ordering::Relaxed) + 1;
    Ok((StatusCode::CREATED, Json(Order { order })))
}
