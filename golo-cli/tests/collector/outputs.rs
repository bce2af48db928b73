//! `POST /push/{db}`, as go-lo's agents call it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::*;

fn output(extra: Value) -> Value {
    let mut output = json!({
        "sequenceID": "0d3b", "url": "http://user:secret@h/a?key=s3cret", "method": "GET", "status": 200, "size": 12,
        "timestamp": "2026-11-22T10:05:13.123456789Z", "duration": 412345, "error": null,
    });
    output.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    output
}

#[tokio::test]
async fn outputs_of_go_lo_are_stored() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let outputs = json!([
        output(json!({})),
        output(json!({ "size": -1, "timestamp": "2026-11-22T11:05:13+01:00" })),
        output(
            json!({ "status": 0, "error": { "Op": "dial", "URL": "http://user:secret@h/?key=s3cret" }, "more": [1] })
        ),
        output(json!({ "status": 404, "route": "/a", "expected": true })),
    ]);
    // go-lo sends no content type.
    let sent = client().post(format!("http://{address}/push/my_db-1")).body(outputs.to_string()).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
    assert_eq!(sent.json::<Value>().await.unwrap(), json!({ "stored": 4 }));

    let sql = place.sql();
    let mut select = sql.prepare("SELECT db, url, status, size_bytes, timestamp_ns, duration_ns, error, route, failed FROM outputs ORDER BY id").unwrap();
    let rows: Vec<_> = select
        .query_map([], |row| {
            let text = |at| row.get::<_, Option<String>>(at);
            let numbers = [2, 3, 4, 5, 8].map(|at| row.get::<_, i64>(at).unwrap());
            Ok((text(0)?, text(1)?, numbers, text(6)?, text(7)?))
        })
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let (db, url) = (Some("my_db-1".to_owned()), Some("http://h/a?…".to_owned()));
    let start = START as i64;
    let dial = r#"{"Op":"dial","URL":"http://h/?…"}"#;
    let row = |numbers, error: Option<&str>, route: Option<&str>| {
        (db.clone(), url.clone(), numbers, error.map(str::to_owned), route.map(str::to_owned))
    };
    assert_eq!(
        rows,
        [
            row([200, 12, start + 123_456_789, 412_345, 0], None, None),
            row([200, -1, start, 412_345, 0], None, None),
            row([0, 12, start + 123_456_789, 412_345, 1], Some(dial), None),
            row([404, 12, start + 123_456_789, 412_345, 0], None, Some("/a")),
        ]
    );
}

#[tokio::test]
async fn invalid_push_is_refused_with_a_reason() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let good = json!([output(json!({}))]).to_string();
    let call = async |method: Method, path: &str, body: String| {
        let answer = client().request(method, format!("http://{address}{path}")).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let long = format!("/push/{}", "x".repeat(65));
    let one_is_wrong = json!([output(json!({})), output(json!({ "status": "ok" }))]).to_string();
    for (path, body, status, reason) in [
        ("/push/db", "[{", 400, "expected a JSON array of outputs"),
        ("/push/db", "", 400, "expected a JSON array of outputs"),
        ("/push/db", "{}", 400, "expected a JSON array of outputs"),
        ("/push/db", "[{}]", 400, "missing field"),
        ("/push/db", &one_is_wrong, 400, "expected u16"),
        ("/push/no%20name", &good, 404, "there is no database"),
        ("/push/..%2Fdb", &good, 404, "there is no database"),
        (&long, &good, 404, "there is no database"),
    ] {
        let (answered, text) = call(Method::POST, path, body.to_owned()).await;
        assert_eq!(answered, status, "{path} {body}: {text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        assert!(told["error"].as_str().unwrap().contains(reason), "{path} {body}: {text}");
    }
    assert_eq!(call(Method::POST, "/push/", good.clone()).await.0, 404);
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(call(method, "/push/db", String::new()).await.0, 405);
    }
    let (status, text) = call(Method::POST, "/push/db", " ".repeat((16 << 20) + 1)).await;
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("larger than 16 MiB"), "{text}");
    assert_eq!(call(Method::POST, "/push/db", "[]".to_owned()).await, (200, r#"{"stored":0}"#.to_owned()));
    let count: i64 = place.sql().query_row("SELECT count(*) FROM outputs", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 0);
}
