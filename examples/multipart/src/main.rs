//! A form with a file (`multipart/form-data`), as a browser sends it. The response has to name the file and its size.
//!
//! ```text
//! cargo run -p multipart -- once
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use golo::reqwest::Url;
use golo::reqwest::multipart::{Form, Part};
use golo::{BoxError, Received, Shared};
use serde::Deserialize;

/// The file, in memory: reading it from disk would be part of the load test's own work in each trigger.
const PHOTO: &[u8] = &[0x5a; 100_000];

#[derive(Deserialize)]
struct Uploaded<'a> {
    #[serde(borrow)]
    files: Vec<File<'a>>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct File<'a> {
    name: &'a str,
    bytes: usize,
}

async fn target() -> Result<Url, BoxError> {
    let url: Url = golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn).parse()?;
    Ok(url.join("upload")?)
}

fn has_photo(response: &Received<'_>) -> bool {
    let photo = File { name: "photo.jpg", bytes: PHOTO.len() };
    response.json::<Uploaded<'_>>().is_ok_and(|uploaded| uploaded.files == [photo])
}

#[golo::loadtest(setup = target)]
async fn multipart(upload: Shared<Url>) -> Result<(), BoxError> {
    let photo = Part::bytes(PHOTO).file_name("photo.jpg").mime_str("image/jpeg")?;
    let form = Form::new().text("title", "a photo").part("file", photo);
    let request = golo::client().post(Url::clone(&upload)).multipart(form);
    golo::request(&golo::new_sequence_id(), request)
        .expect_status(201)
        .check("the whole photo arrived", has_photo)
        .send()
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn photo_arrives_at_the_sample_service() {
        let service = sample_service::start().unwrap();
        let upload = Url::parse(&service.url_of("/upload")).unwrap();
        multipart(Shared::new(upload)).await.unwrap();
        assert_eq!((service.counter().routes["/upload"], service.counter().statuses["2xx"]), (1, 1));
    }
}
