use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use lakehouse_common::{
    ApiError,
    extract::{Json, Path, Query},
};
use lakehouse_types::{Name, catalog::RegisterRequest};
use serde::Deserialize;

use crate::AppState;

/// The largest registration: about 15,000 files.
const MAX_REGISTER_BYTES: usize = 4 << 20;

/// catalogd's own routes.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/catalog/register", post(register).layer(DefaultBodyLimit::max(MAX_REGISTER_BYTES)))
        .route("/catalog/manifest/{name}", get(manifest).delete(delete))
        .route("/catalog/list", get(list))
        .with_state(state)
}

async fn register(
    State(state): State<AppState>,
    Json(request): Json<RegisterRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let response = state.catalog().register(request).await?;
    let status = if response.existing { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(response)))
}

async fn manifest(State(state): State<AppState>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let manifest = state.catalog().manifest(&Name::new(name)?)?;
    Ok(Json(manifest.as_ref()).into_response())
}

async fn delete(State(state): State<AppState>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    state.catalog().delete(&Name::new(name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    full: bool,
}

async fn list(
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let snapshot = state.catalog().snapshot()?;
    let etag = format!("\"{}\"", snapshot.tag);
    if knows(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let body = state.list(snapshot, query.full).await?;
    Ok(([(header::CONTENT_TYPE, "application/json".to_owned()), (header::ETAG, etag)], body).into_response())
}

/// Does the caller have this state already? `If-None-Match` compares weakly.
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
