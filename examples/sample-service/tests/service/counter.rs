//! Tests of the counter: exact counts by route and by status class.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::ALLOW;
use sample_service::{Counts, ENDPOINTS, OTHER_ROUTE};
use tokio::task::JoinSet;

use crate::support::{assert_refused, get, set_up};

#[tokio::test]
async fn unknown_paths_and_methods_are_counted_too() {
    let (service, client) = set_up();
    assert_refused(get(&service, &client, "/nowhere").await, StatusCode::NOT_FOUND, "no such path").await;
    let response = client.delete(service.url_of("/items/1")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(response.headers().contains_key(ALLOW));

    let counts = service.counter();
    assert_eq!(counts.routes[OTHER_ROUTE], 1);
    assert_eq!(counts.routes["/items/{id}"], 1);
    assert_eq!((counts.seen, counts.answered, counts.statuses["4xx"]), (2, 2, 2));
}

#[tokio::test]
async fn every_endpoint_exists_and_is_counted_by_its_route() {
    let (service, client) = set_up();
    for endpoint in ENDPOINTS {
        service.reset_counter();
        let method = if endpoint.method == "any" { "PUT" } else { endpoint.method };
        let path = endpoint.path.replace("{code}", "200").replace("{id}", "1").replace("{n}", "1").replace('N', "1");
        let response = client.request(method.parse().unwrap(), service.url_of(&path)).send().await.unwrap();
        assert!(![404, 405].contains(&response.status().as_u16()), "{endpoint:?}");

        let counts = service.counter();
        assert_eq!(counts.routes[OTHER_ROUTE], 0, "{endpoint:?}");
        if endpoint.path.starts_with("/counter") {
            assert_eq!(counts.seen, 0);
            assert!(!counts.routes.contains_key(endpoint.route()));
        } else {
            assert!(counts.routes[endpoint.route()] > 0, "{endpoint:?}");
        }
    }
}

#[tokio::test]
async fn counter_can_be_read_and_reset_over_http() {
    let (service, client) = set_up();
    for path in ["/items/1", "/items/2", "/items/0", "/status/503"] {
        get(&service, &client, path).await;
    }
    let counts: Counts = get(&service, &client, "/counter").await.json().await.unwrap();
    assert_eq!(counts, service.counter());
    assert_eq!((counts.seen, counts.answered), (4, 4));
    assert_eq!(counts.routes["/items/{id}"], 3);
    assert_eq!((counts.statuses["2xx"], counts.statuses["4xx"], counts.statuses["5xx"]), (2, 1, 1));

    let response = client.post(service.url_of("/counter/reset")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let counts: Counts = get(&service, &client, "/counter").await.json().await.unwrap();
    assert_eq!((counts.seen, counts.answered), (0, 0));
}

#[tokio::test]
async fn counts_are_exact_under_a_thousand_requests_at_once() {
    let (service, client) = set_up();
    let mut requests = JoinSet::new();
    for number in 0..1_000 {
        let path = ["/", "/items/3", "/status/404", "/slow?ms=5", "/flaky?percent=20"][number % 5];
        let request = client.get(service.url_of(path));
        requests.spawn(async move { request.send().await.unwrap().bytes().await.unwrap() });
    }
    requests.join_all().await;

    let counts = service.counter();
    assert_eq!((counts.seen, counts.answered), (1_000, 1_000));
    for route in ["/", "/items/{id}", "/status/{code}", "/slow", "/flaky"] {
        assert_eq!(counts.routes[route], 200);
    }
    assert_eq!((counts.statuses["2xx"], counts.statuses["4xx"], counts.statuses["5xx"]), (760, 200, 40));
}

#[tokio::test]
async fn disconnected_client_is_seen_but_not_answered() {
    let (service, client) = set_up();
    let request = tokio::spawn(client.get(service.url_of("/slow?ms=300")).send());
    while service.counter().seen == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    request.abort();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let counts = service.counter();
    assert_eq!((counts.seen, counts.answered), (1, 0));
}
