//! Who may call: by which name, and from which page.

use crate::harness::{Broker, read};
use driftq_server::Config;
use reqwest::Method;

#[tokio::test]
async fn a_foreign_host_or_page_is_refused_with_the_option_that_allows_it() {
    let broker = Broker::start().await;
    for (method, header, value, option) in [
        (Method::GET, "host", "evil.example", "--allow-host evil.example"),
        (Method::GET, "origin", "https://evil.example", "--allow-origin https://evil.example"),
        (Method::POST, "origin", "null", "--allow-origin null"),
        (Method::GET, "sec-fetch-site", "cross-site", "--allow-origin"),
        (Method::POST, "sec-fetch-site", "same-site", "--allow-origin"),
    ] {
        let response =
            broker.request(method, "/v1/topics").header(header, value).body("").send().await.unwrap();
        let body = read(response).await.expect(403);
        assert_eq!(body["error"], "PERMISSION_DENIED");
        assert!(body["message"].as_str().unwrap().contains(option), "{body}");
    }
    let own = format!("http://{}", broker.addr);
    let response = broker.request(Method::GET, "/v1/topics").header("origin", own).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn listed_names_and_origins_may_call() {
    let allow = |text: &str| vec![text.to_owned()];
    let allowed = Config {
        allow_host: allow("driftq.example.com"),
        allow_origin: allow("https://app.example.com"),
        ..Config::in_memory()
    };
    let broker = Broker::with(allowed).await;
    let named = broker
        .request(Method::GET, "/v1/topics")
        .header("host", "driftq.example.com:8080")
        .send()
        .await
        .unwrap();
    assert_eq!(named.status().as_u16(), 200);
    let from = |method, origin: &str| broker.request(method, "/v1/topics").header("origin", origin);
    let response = from(Method::GET, "https://app.example.com").send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example.com");
    let preflight = from(Method::OPTIONS, "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type, idempotency-key");
    let preflight = preflight.send().await.unwrap();
    assert!(preflight.status().is_success());
    assert_eq!(preflight.headers()["access-control-allow-headers"], "content-type, idempotency-key");
    assert_eq!(from(Method::GET, "https://other.example.com").send().await.unwrap().status().as_u16(), 403);
}
