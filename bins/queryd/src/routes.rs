use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::post,
};
use futures::TryStreamExt as _;
use http::{HeaderMap, HeaderValue, header};
use lakehouse_common::{ApiError, extract::Json};
use lakehouse_types::query::SqlRequest;

use crate::{AppState, accept};

/// The largest request. A statement of this length takes DuckDB's parser some milliseconds.
const MAX_SQL_BYTES: usize = 64 << 10;

/// queryd's own route.
pub fn router(state: AppState) -> Router {
    Router::new().route("/sql", post(sql).layer(DefaultBodyLimit::max(MAX_SQL_BYTES))).with_state(state)
}

async fn sql(
    State(state): State<AppState>,
    headers: HeaderMap,
    Json(request): Json<SqlRequest>,
) -> Result<Response, ApiError> {
    let format = accept::format(&headers)?;
    let answer = state.engine.query(&request.sql, format).await?;
    let length = answer.length();
    // Too late for a status: the connection breaks, and nobody takes the part for the whole.
    let answer = answer.inspect_err(|error| tracing::warn!(%error, "answer broken off"));
    let mut response = Body::from_stream(answer).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(response)
}
