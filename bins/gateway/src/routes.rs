use axum::{
    Router,
    extract::{Request, State},
    response::IntoResponse,
    routing::{any, get, post},
};
use http::header;
use lakehouse_common::extract::Json;
use serde_json::{Value, json};

use crate::{chat::chat, forward::forward, health::health, mounts::Mount, state::AppState};

/// The description of all that is served under `/v1`, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("../openapi/lakehouse.json");

/// The paths that the gateway answers itself, besides those every service has.
pub const OWN_ROUTES: [&str; 6] = ["/", "/v1", "/v1/health", "/v1/openapi.json", "/v1/chat", "/v1/chat/completions"];

/// What is answered here, and what is forwarded.
pub(crate) fn router(state: AppState) -> Router {
    let own = Router::new()
        .route("/", get(index))
        .route("/v1", get(index))
        .route("/v1/health", get(health))
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/chat", post(chat))
        .route("/v1/chat/completions", post(chat));
    let forwarded = |router: Router<AppState>, mount: Mount| {
        let handler = any(move |State(state): State<AppState>, request: Request| async move {
            forward(&state, mount, request).await
        });
        mount.routes().into_iter().fold(router, |router, path| router.route(&path, handler.clone()))
    };
    Mount::ALL.into_iter().fold(own, forwarded).with_state(state)
}

async fn index() -> Json<Value> {
    Json(json!({
        "name": "lakehouse",
        "version": env!("CARGO_PKG_VERSION"),
        "openapi": "/v1/openapi.json",
        "health": "/v1/health",
    }))
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openapi+json;version=3.1")], OPENAPI)
}
