//! `/v1/health`: how each service is, asked of it now.

use std::time::Duration;

use axum::{body::Body, extract::State, http::Request};
use futures::future::join_all;
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use lakehouse_common::{
    ApiError,
    extract::{Json, Query},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use crate::{
    error::Error,
    headers,
    mounts::Service,
    state::AppState,
    upstream::{UploadBody, Upstream},
};

/// Who asks for health wants to know now; a service that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// A report of readiness is a few lines.
const MAX_REPORT: usize = 64 << 10;

/// The query of `/v1/health`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    /// Answer 503 unless all is well.
    #[serde(default)]
    strict: bool,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// All is well.
    Ok,
    /// It serves, but not all of it.
    Degraded,
    /// It does not serve yet.
    Waiting,
    /// There is no connection, or no answer, or not one of ours.
    Down,
}

#[derive(Debug, Serialize)]
struct Report {
    status: Status,
    latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Value>,
}

/// The body of a service's `/readyz`.
#[derive(Debug, Deserialize)]
struct Readiness {
    status: String,
    #[serde(default)]
    waiting: Vec<Value>,
    #[serde(default)]
    degraded: Vec<Value>,
}

/// `GET /v1/health[?strict=true]`.
pub(crate) async fn health(
    State(state): State<AppState>,
    Query(ask): Query<Ask>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let reports = join_all(Service::ALL.map(|service| report(state.upstream(service)))).await;
    let well = reports.iter().all(|report| report.status == Status::Ok);
    let services: Map<String, Value> = Service::ALL
        .iter()
        .zip(&reports)
        .map(|(service, report)| (service.name().to_owned(), serde_json::to_value(report).unwrap_or_default()))
        .collect();
    let status = if well { "ok" } else { "degraded" };
    let code = if well || !ask.strict { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((code, Json(serde_json::json!({"status": status, "services": services}))))
}

async fn report(upstream: &Upstream) -> Report {
    let started = Instant::now();
    let asked = timeout(PATIENCE, ask(upstream)).await;
    let latency_ms = (started.elapsed().as_secs_f64() * 1e5).round() / 1e2;
    let down = |reason| Report {
        status: Status::Down,
        latency_ms,
        reason: Some(reason),
        waiting: Vec::new(),
        degraded: Vec::new(),
    };
    let readiness = match asked {
        Err(_) | Ok(Err(Unknown::Failed(Error::Slow { .. }))) => return down("no answer in time"),
        Ok(Err(Unknown::Failed(Error::Connect { .. }))) => return down("can't be reached"),
        Ok(Err(Unknown::Failed(_))) => return down("the connection broke"),
        Ok(Err(Unknown::Nonsense)) => return down("answered something else than its readiness"),
        Ok(Ok(readiness)) => readiness,
    };
    let status = match readiness.status.as_str() {
        "ready" => Status::Ok,
        "degraded" => Status::Degraded,
        _ => Status::Waiting,
    };
    Report { status, latency_ms, reason: None, waiting: readiness.waiting, degraded: readiness.degraded }
}

/// Why a service's readiness is not known.
enum Unknown {
    Failed(Error),
    Nonsense,
}

async fn ask(upstream: &Upstream) -> Result<Readiness, Unknown> {
    let mut request = Request::new(UploadBody::none());
    *request.uri_mut() = format!("{}/readyz", upstream.base_path()).parse().map_err(|_| Unknown::Nonsense)?;
    request.headers_mut().insert(header::HOST, upstream.host());
    headers::identify(request.headers_mut());
    let answer = upstream.send(request).await.map_err(Unknown::Failed)?;
    let body =
        Limited::new(Body::new(answer.into_body()), MAX_REPORT).collect().await.map_err(|_| Unknown::Nonsense)?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| Unknown::Nonsense)
}
