//! Scripts and styles of the pages.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use crate::http::server::Refusal;

/// Beginning of the paths of all files.
pub(super) const FOLDER: &str = "/assets/";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// A file that browsers load.
struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    /// Identifies the contents.
    tag: HeaderValue,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let all = [
        ("uplot.js", SCRIPT, include_str!("assets/uplot/uPlot.iife.min.js")),
        ("uplot.css", STYLE, include_str!("assets/uplot/uPlot.min.css")),
        ("style.css", STYLE, include_str!("assets/style.css")),
        ("run.js", SCRIPT, include_str!("assets/run.js")),
        ("charts.js", SCRIPT, include_str!("assets/charts.js")),
        ("tables.js", SCRIPT, include_str!("assets/tables.js")),
        ("format.js", SCRIPT, include_str!("assets/format.js")),
        ("login.js", SCRIPT, include_str!("assets/login.js")),
    ];
    all.into_iter().map(|(name, kind, text)| Asset { name, kind, text, tag: tag(text) }).collect()
});

fn tag(text: &str) -> HeaderValue {
    let hash = Sha256::digest(text.as_bytes());
    let tag: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Returns a file, or 304 if the browser has it.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return Refusal::not_found(format!("there is no file `{name}`")).into_response();
    };
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == asset.tag);
    let fixed = [
        (header::ETAG, asset.tag.clone()),
        // A browser asks again each time, and gets the file only if it has changed.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    match is_known {
        true => (StatusCode::NOT_MODIFIED, fixed).into_response(),
        false => (fixed, [(header::CONTENT_TYPE, asset.kind)], asset.text).into_response(),
    }
}
