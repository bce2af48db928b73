//! Pages with a form, and forms that are sent: sign in by a browser, upload of files.

use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Multipart, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{Html, IntoResponse};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::routes::Service;
use crate::session::{COOKIE_NAME, PASSWORD};

const LONGEST_USER_NAME: usize = 64;

fn no_randomness<E>(_: E) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the system has no randomness for a token")
}

pub(crate) async fn sign_in(State(service): State<Arc<Service>>) -> Result<Html<String>, Refusal> {
    let csrf = service.forms.begin("form").map_err(no_randomness)?;
    Ok(Html(format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Sign in</title></head>
<body>
<h1>Sign in</h1>
<form method="post" action="/session">
<input type="hidden" name="csrf" value="{csrf}">
<label>Name <input name="user"></label>
<label>Password <input name="password" type="password"></label>
<button>Sign in</button>
</form>
</body>
</html>
"#
    )))
}

#[derive(Deserialize)]
pub(crate) struct SignIn {
    user: String,
    password: String,
    csrf: String,
}

pub(crate) async fn session(
    State(service): State<Arc<Service>>,
    form: Result<Form<SignIn>, FormRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let Form(SignIn { user, password, csrf }) = form.map_err(|rejection| {
        Refusal::new(rejection.status(), "the body must be a form with `user`, `password` and `csrf`")
    })?;
    if service.forms.user(&csrf).is_none() {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "`csrf` is not from the page `/sign-in`"));
    }
    if user.is_empty() || user.len() > LONGEST_USER_NAME || password != PASSWORD {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "wrong name or password"));
    }
    let token = service.sessions.begin(&user).map_err(no_randomness)?;
    let cookie = format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Lax");
    let user = user.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Welcome</title></head>
<body>
<h1>Welcome, <b>{user}</b></h1>
<p>Your customer number is C-{:06}.</p>
<nav><a class="next" href="/items">Items</a></nav>
</body>
</html>
"#,
        user.bytes().map(u32::from).sum::<u32>()
    );
    Ok(([(SET_COOKIE, cookie)], Html(page)))
}

#[derive(Serialize)]
struct File {
    name: String,
    bytes: usize,
}

#[derive(Serialize)]
struct Uploaded {
    files: Vec<File>,
}

pub(crate) async fn upload(form: Result<Multipart, MultipartRejection>) -> Result<impl IntoResponse, Refusal> {
    let bad = |_| Refusal::new(StatusCode::BAD_REQUEST, "the body must be a form (multipart/form-data) with a file");
    let mut form = form.map_err(|rejection| bad(rejection.body_text()))?;
    let mut files = Vec::new();
    while let Some(field) = form.next_field().await.map_err(|error| bad(error.body_text()))? {
        let Some(name) = field.file_name().map(str::to_owned) else { continue };
        let bytes = field.bytes().await.map_err(|error| bad(error.body_text()))?.len();
        files.push(File { name, bytes });
    }
    if files.is_empty() {
        return Err(bad(String::new()));
    }
    Ok((StatusCode::CREATED, Json(Uploaded { files })))
}
