//! `/v1/health`, the index, and the description of what is served.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;

use axum::{Router, routing::get as route_get};
use gateway::{Mount, OPENAPI, OWN_ROUTES, Service};
use serde_json::Value;
use support::{Gateway, get, nobody, serve, url_of, wire};

async fn ready(report: &'static str, status: u16) -> std::net::SocketAddr {
    let status = http::StatusCode::from_u16(status).unwrap();
    serve(Router::new().route("/readyz", route_get(async move || (status, report)))).await.0
}

/// The answer to `path`. A service that runs and can't answer within the two seconds that the gateway
/// gives it, because the machine does something else, is asked again; but for those that are `silent`.
async fn health(gateway: &Gateway, path: &str, silent: &[&str]) -> (u16, Value) {
    for left in (0..20).rev() {
        let (status, _, body) = gateway.ask(get(path)).await;
        assert!(!String::from_utf8_lossy(&body).contains("127.0.0.1"), "no address is told");
        let health: Value = serde_json::from_slice(&body).unwrap();
        let late = |(name, report): (&String, &Value)| {
            report["reason"] == "no answer in time" && !silent.contains(&name.as_str())
        };
        if left == 0 || !health["services"].as_object().unwrap().iter().any(late) {
            return (status, health);
        }
    }
    unreachable!("the last one is returned");
}

#[tokio::test]
async fn each_service_s_state_is_shown() {
    let well = ready(r#"{"status":"ready","waiting":[],"degraded":[]}"#, 200).await;
    let starting =
        ready(r#"{"status":"waiting","waiting":[{"what":"catalog","why":"loading"}],"degraded":[]}"#, 503).await;
    let partly = ready(r#"{"status":"degraded","waiting":[],"degraded":[{"what":"index a","why":"torn"}]}"#, 200).await;
    let stranger = ready("hello", 200).await;
    let silent = wire(async |_, stream| {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let down = nobody();
    let gateway = Gateway::start(well, |config| {
        config.gateway.catalogd_url = url_of(starting);
        config.gateway.vectord_url = url_of(partly);
        config.gateway.embedd_url = url_of(stranger);
        config.gateway.queryd_url = url_of(silent);
        config.gateway.ingestd_url = url_of(down);
    })
    .await;
    let (status, health) = health(&gateway, "/v1/health", &["queryd"]).await;
    assert_eq!((status, &health["status"]), (200, &Value::from("degraded")));
    let services = &health["services"];
    for (service, state) in [
        ("storaged", "ok"),
        ("catalogd", "waiting"),
        ("vectord", "degraded"),
        ("embedd", "down"),
        ("queryd", "down"),
        ("ingestd", "down"),
    ] {
        assert_eq!(services[service]["status"], state, "{service}: {health:#}");
        assert!(services[service]["latency_ms"].is_number());
    }
    assert_eq!(services["catalogd"]["waiting"][0]["why"], "loading");
    assert_eq!(services["vectord"]["degraded"][0]["what"], "index a");
    assert_eq!(services["ingestd"]["reason"], "can't be reached");
    assert_eq!(services["queryd"]["reason"], "no answer in time");
    assert_eq!(gateway.ask(get("/v1/health?strict=true")).await.0, 503);
    assert_eq!(gateway.problem(get("/v1/health?strict=maybe")).await.0, 400);
}

#[tokio::test]
async fn when_all_is_well_it_says_so() {
    let well = ready(r#"{"status":"ready"}"#, 200).await;
    let gateway = Gateway::start(well, |_| {}).await;
    let (status, health) = health(&gateway, "/v1/health?strict=true", &[]).await;
    assert_eq!((status, &health["status"]), (200, &Value::from("ok")), "{health:#}");
    assert_eq!(health["services"].as_object().unwrap().len(), Service::ALL.len());
}

#[tokio::test]
async fn the_index_leads_to_the_description() {
    let gateway = Gateway::start(nobody(), |_| {}).await;
    for path in ["/", "/v1"] {
        let (status, _, body) = gateway.ask(get(path)).await;
        let index: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &index["openapi"]), (200, &Value::from("/v1/openapi.json")));
    }
    let (status, headers, body) = gateway.ask(get("/v1/openapi.json")).await;
    assert_eq!((status, &*body), (200, OPENAPI.as_bytes()));
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/openapi+json"));
}

fn description() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// The operations of the description: method, path, and what it says of them.
fn operations(description: &Value) -> Vec<(String, String, Value)> {
    let methods = ["get", "put", "post", "delete", "head"];
    let mut operations = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if methods.contains(&method.as_str()) {
                operations.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    operations
}

#[test]
fn every_path_described_is_served_and_every_path_served_is_described() {
    let description = description();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let described: BTreeSet<String> = operations(&description).into_iter().map(|(_, path, _)| path).collect();
    let own: BTreeSet<&str> = OWN_ROUTES.into_iter().collect();
    let mut mounts_described = BTreeSet::new();
    for path in &described {
        let segment = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
        let mount = Mount::ALL.into_iter().find(|mount| Some(mount.segment) == segment);
        assert!(own.contains(path.as_str()) || mount.is_some(), "{path} is described and not served");
        mounts_described.extend(mount.map(|mount| mount.segment));
    }
    for path in own {
        // The index is for people who try the address.
        assert!(described.contains(path) || path == "/", "{path} is served and not described");
    }
    for mount in Mount::ALL {
        assert!(mounts_described.contains(mount.segment), "/v1/{} is served and not described", mount.segment);
    }
}

/// Every `$ref` of the description.
fn references(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

#[test]
fn the_description_holds_together() {
    let description = description();
    let mut all = Vec::new();
    references(&description, &mut all);
    let used: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    for reference in &used {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for kind in ["schemas", "parameters", "responses"] {
        for name in description["components"][kind].as_object().unwrap().keys() {
            assert!(used.contains(format!("#/components/{kind}/{name}").as_str()), "{kind}/{name} is used nowhere");
        }
    }
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&description) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operationId"));
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
        let tag = operation["tags"][0].as_str().unwrap();
        assert!(description["tags"].as_array().unwrap().iter().any(|known| known["name"] == tag), "{tag}");
        assert!(!operation["responses"].as_object().unwrap().is_empty(), "{method} {path} answers nothing");
        // Each parameter of the path is declared, and none that is not in it.
        let in_path: BTreeSet<String> =
            path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()).collect();
        let item = &description["paths"][&path];
        let declared: BTreeSet<String> = [&item["parameters"], &operation["parameters"]]
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .map(|parameter| match parameter["$ref"].as_str() {
                Some(reference) => description.pointer(&reference[1..]).unwrap(),
                None => parameter,
            })
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(declared, in_path, "{method} {path}");
    }
}
