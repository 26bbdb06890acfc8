//! Every call of the contract, and every way to get it wrong.

use std::sync::Arc;

use http::Request;
use serde_json::{Value, json};

use crate::service::{Service, Switch};

fn registration(name: &str, ids: &[&str]) -> Value {
    let objects: Vec<Value> = ids
        .iter()
        .map(|id| json!({"key": format!("datasets/x/{id}.parquet"), "size": 100, "rows": 10, "fingerprint": id}))
        .collect();
    json!({
        "name": name,
        "schema_fingerprint": "s1",
        "schema": [{"name": "zip_code", "type": "VARCHAR"}, {"name": "population", "type": "BIGINT"}],
        "objects": objects,
    })
}

/// A registration with one member replaced.
fn with(member: &str, value: Value) -> Value {
    let mut body = registration("d", &["a"]);
    body[member] = value;
    body
}

async fn service() -> Service {
    Service::ready(&Arc::default()).await
}

#[tokio::test]
async fn a_registration_is_new_then_existing_then_changed() {
    let service = service().await;
    let first = service.register(&registration("weather", &["a"])).await;
    assert_eq!(first.status, 201, "{first:?}");
    let (body, again) = (first.json(), service.register(&registration("weather", &["a"])).await);
    assert_eq!((&body["existing"], &body["manifest"]["version"]), (&json!(false), &json!(1)));
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["existing"], true);
    assert_eq!(again.json()["manifest"], body["manifest"]);
    let mut more = registration("weather", &["b"]);
    more["mode"] = json!("append");
    let more = service.register(&more).await;
    assert_eq!((more.status, &more.json()["manifest"]["version"]), (201, &json!(2)));
    assert_eq!((&more.json()["manifest"]["rows"], &more.json()["manifest"]["bytes"]), (&json!(20), &json!(200)));
    let replaced = service.register(&registration("weather", &["c"])).await;
    assert_eq!((replaced.status, replaced.json()["manifest"]["objects"].as_array().unwrap().len()), (201, 1));
}

#[tokio::test]
async fn drift_is_a_conflict_that_names_the_columns() {
    let service = service().await;
    service.register(&registration("weather", &["a"])).await;
    let mut drifted = registration("weather", &["b"]);
    drifted["schema"][1]["type"] = json!("DOUBLE");
    drifted["schema_fingerprint"] = json!("s2");
    for mode in ["replace", "append"] {
        drifted["mode"] = json!(mode);
        let answer = service.register(&drifted).await;
        assert_eq!(answer.status, 409);
        let problem = answer.json();
        assert_eq!(problem["type"], "urn:lakehouse:conflict");
        assert_eq!(problem["detail"], "schema drift: column `population` is BIGINT, not DOUBLE");
        let column = &problem["columns"][0];
        assert_eq!(
            (&column["name"], &column["registered"], &column["offered"]),
            (&json!("population"), &json!("BIGINT"), &json!("DOUBLE"))
        );
        assert_eq!(problem["columns"].as_array().unwrap().len(), 1);
    }
    let manifest = service.get("/catalog/manifest/weather").await.json();
    assert_eq!((&manifest["version"], &manifest["objects"][0]["fingerprint"]), (&json!(1), &json!("a")));
}

#[tokio::test]
async fn a_name_in_another_case_is_a_conflict_to_write_and_the_same_to_read() {
    let service = service().await;
    service.register(&registration("Weather", &["a"])).await;
    let answer = service.register(&registration("WEATHER", &["a"])).await;
    assert_eq!((answer.status, &answer.json()["existing_name"]), (409, &json!("Weather")));
    assert_eq!(service.get("/catalog/manifest/wEATHER").await.json()["name"], "Weather");
    assert_eq!(service.call("DELETE", "/catalog/manifest/weather").await.status, 204);
    assert_eq!(service.register(&registration("WEATHER", &["a"])).await.status, 201);
}

#[tokio::test]
async fn bad_registrations_are_refused_with_a_reason() {
    let service = service().await;
    let long = "x".repeat(129);
    let names = ["", ".", "..", "a/b", " a", "a ", "a\nb", "a\u{7f}", long.as_str()];
    for name in names {
        let answer = service.register(&registration(name, &["a"])).await;
        assert_eq!(answer.status, 400, "{name:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("invalid name"), "{answer:?}");
    }
    let object = |key: &str| json!([{"key": key, "size": 1, "rows": 1, "fingerprint": "f"}]);
    let bad = [
        with("schema", json!([])),
        with("objects", json!([])),
        with("schema_fingerprint", json!("")),
        with("schema", json!([{"name": "a", "type": "DATE"}, {"name": "A", "type": "DATE"}])),
        with("objects", object("../etc/passwd")),
        with("objects", object("_catalog/d/1.json")),
        with("objects", json!([{"key": "k", "size": -1, "rows": 1, "fingerprint": "f"}])),
        with("mode", json!("upsert")),
        with("colour", json!("red")),
        json!([]),
        json!({}),
    ];
    for body in bad {
        let answer = service.register(&body).await;
        assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("urn:lakehouse:invalid-input")), "{body}");
    }
    assert_eq!(service.post("application/json", "{\"name\":".into()).await.status, 400);
    assert_eq!(service.post("text/plain", registration("d", &["a"]).to_string()).await.status, 415);
    assert_eq!(service.get("/catalog/list").await.json(), json!({"datasets": []}), "nothing came of any of them");
}

#[tokio::test]
async fn a_registration_may_have_four_mebibytes_and_no_more() {
    const CAP: usize = 4 << 20;
    let service = service().await;
    let padded = |size: usize| {
        let body = registration("d", &["a"]).to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    assert_eq!(service.post("application/json", padded(CAP + 1)).await.status, 413);
    assert_eq!(service.post("application/json", padded(CAP)).await.status, 201);
}

#[tokio::test]
async fn awkward_names_go_all_the_way() {
    let service = service().await;
    for (name, path) in [
        ("O'Brien's data", "O%27Brien%27s%20data"),
        ("日本語", "%E6%97%A5%E6%9C%AC%E8%AA%9E"),
        ("100%", "100%25"),
        ("a?b#c", "a%3Fb%23c"),
        ("..a", "..a"),
        ("list", "list"),
    ] {
        assert_eq!(service.register(&registration(name, &["a"])).await.status, 201, "{name}");
        let path = format!("/catalog/manifest/{path}");
        assert_eq!(service.get(&path).await.json()["name"], name);
        assert_eq!(service.call("DELETE", &path).await.status, 204);
        assert_eq!(service.get(&path).await.status, 404);
        assert_eq!(service.call("DELETE", &path).await.status, 404);
    }
}

#[tokio::test]
async fn names_that_can_t_be_are_bad_requests_in_paths_too() {
    let service = service().await;
    for path in ["%20a", "a%2Fb", "a%0Ab", "%C3%28"] {
        for method in ["GET", "DELETE"] {
            assert_eq!(service.call(method, &format!("/catalog/manifest/{path}")).await.status, 400, "{path}");
        }
    }
    assert_eq!(service.call("POST", "/catalog/manifest/a").await.status, 405);
    assert_eq!(service.get("/catalog/manifest").await.status, 404);
}

#[tokio::test]
async fn the_list_is_sorted_and_short_or_full() {
    let service = service().await;
    let empty = service.get("/catalog/list").await;
    assert_eq!((empty.status, empty.text.as_str()), (200, r#"{"datasets":[]}"#));
    assert_eq!(empty.header("content-type"), "application/json");
    for name in ["b", "C", "a", "é"] {
        service.register(&registration(name, &["x"])).await;
    }
    for full in [false, true] {
        let path = if full { "/catalog/list?full=true" } else { "/catalog/list" };
        let list = service.get(path).await.json();
        let datasets = list["datasets"].as_array().unwrap();
        let names: Vec<&str> = datasets.iter().map(|dataset| dataset["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["C", "a", "b", "é"]);
        for dataset in datasets {
            assert_eq!(dataset["rows"], 10);
            assert_eq!(dataset["schema"].as_array().unwrap().is_empty(), !full);
            assert_eq!(dataset["objects"].as_array().unwrap().is_empty(), !full);
        }
    }
    assert_eq!(service.get("/catalog/list?ful=true").await.status, 400);
    assert_eq!(service.get("/catalog/list?full=maybe").await.status, 400);
}

#[tokio::test]
async fn the_tag_of_the_list_tells_every_change() {
    let service = service().await;
    let known = async |tag: &str| {
        let request = Request::get("/catalog/list?full=true").header("if-none-match", tag);
        service.send(request.body(axum::body::Body::empty()).unwrap()).await
    };
    let mut tag = service.get("/catalog/list").await.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'));
    for step in 0..3 {
        let unchanged = known(&tag).await;
        assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""));
        assert_eq!(unchanged.header("etag"), tag);
        for also in [format!("\"x\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
            assert_eq!(known(&also).await.status, 304, "{also}");
        }
        match step {
            0 => drop(service.register(&registration("d", &["a"])).await),
            1 => drop(service.register(&registration("d", &["b"])).await),
            _ => drop(service.call("DELETE", "/catalog/manifest/d").await),
        }
        let changed = known(&tag).await;
        assert_eq!(changed.status, 200, "step {step}");
        tag = changed.header("etag").to_owned();
    }
}

#[tokio::test]
async fn what_one_writes_the_other_shows_soon() {
    let store: Arc<Switch> = Arc::default();
    let (here, there) = (Service::ready(&store).await, Service::ready(&store).await);
    let tag = there.get("/catalog/list").await.header("etag").to_owned();
    assert_eq!(here.register(&registration("d", &["a"])).await.status, 201);
    there.until("the dataset shows", "/catalog/manifest/d", |answer| answer.status == 200).await;
    assert_ne!(there.get("/catalog/list").await.header("etag"), tag);
    // And without waiting, a change meets the other's at once.
    here.register(&registration("e", &["a"])).await;
    assert_eq!(there.register(&registration("e", &["a"])).await.status, 200);
    assert_eq!(there.register(&registration("E", &["a"])).await.status, 409);
}
