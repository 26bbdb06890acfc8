use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    routing::{get, post},
};
use lakehouse_common::{ApiError, extract::Json};
use lakehouse_types::embed::{EmbedRequest, EmbedResponse};

use crate::{AppState, openai};

/// embedd's own routes.
pub(crate) fn router(state: AppState) -> Router {
    let body = DefaultBodyLimit::max(state.max_body_bytes());
    Router::new()
        .route("/embed", post(embed).layer(body))
        // With their `/v1`: they are OpenAI's own paths, whose clients are given a base URL.
        .route("/v1/embeddings", post(openai::embeddings).layer(body))
        .route("/v1/models", get(openai::models))
        .with_state(state)
}

async fn embed(
    State(state): State<AppState>,
    Json(request): Json<EmbedRequest>,
) -> Result<Json<EmbedResponse>, ApiError> {
    if let Some(model) = &request.model {
        state.service().check_model(model)?;
    }
    let made = state.embed(request.texts).await?;
    Ok(Json(EmbedResponse {
        model: state.service().model().to_owned(),
        dimension: made.first().map_or(0, |embedding| embedding.vector.len()),
        vectors: made.iter().map(|embedding| embedding.vector.clone()).collect(),
    }))
}
