//! OpenAI's `/v1/embeddings` and `/v1/models`, so that its clients work unchanged.

use axum::extract::State;
use lakehouse_common::{ApiError, extract::Json, status_of};
use lakehouse_embed::{Error, base64};
use lakehouse_types::{
    ErrorKind,
    embed::{
        EmbeddingEntry, EmbeddingsInput, EmbeddingsRequest, EmbeddingsResponse, EncodedVector, EncodingFormat,
        ModelEntry, ModelsResponse, Usage,
    },
};
use serde_json::json;

use crate::AppState;

pub(crate) async fn embeddings(
    State(state): State<AppState>,
    request: Result<Json<EmbeddingsRequest>, ApiError>,
) -> Result<Json<EmbeddingsResponse>, ApiError> {
    let Json(request) = request.map_err(in_openais_shape)?;
    embed(&state, request).await.map(Json).map_err(|error| in_openais_shape(error.into()))
}

async fn embed(state: &AppState, request: EmbeddingsRequest) -> Result<EmbeddingsResponse, Error> {
    let service = state.service();
    service.check_model(&request.model)?;
    let EmbeddingsInput::Texts(texts) = request.input else { return Err(Error::TokenIds) };
    // Asked before the work where it is known, after it where only the answer tells.
    check_dimension(request.dimensions, service.dimension())?;
    let made = state.embed(texts).await?;
    check_dimension(request.dimensions, service.dimension())?;
    let tokens = made.iter().map(|embedding| embedding.tokens).sum();
    let entry = |(index, vector): (usize, &[f32])| EmbeddingEntry {
        object: "embedding",
        index,
        embedding: match request.encoding_format {
            EncodingFormat::Float => EncodedVector::Float(vector.to_vec()),
            EncodingFormat::Base64 => EncodedVector::Base64(base64::encode(vector)),
        },
    };
    Ok(EmbeddingsResponse {
        object: "list",
        data: made.iter().map(|embedding| embedding.vector.as_slice()).enumerate().map(entry).collect(),
        model: service.model().to_owned(),
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    })
}

/// A vector cut short is not this model's vector: another length than its own is refused.
fn check_dimension(asked: Option<usize>, served: Option<usize>) -> Result<(), Error> {
    match (asked, served) {
        (Some(asked), Some(served)) if asked != served => Err(Error::OtherDimension { asked, served }),
        _ => Ok(()),
    }
}

pub(crate) async fn models(State(state): State<AppState>) -> Json<ModelsResponse> {
    let service = state.service();
    let entry = |name: &str| ModelEntry {
        id: name.to_owned(),
        object: "model",
        created: 0,
        owned_by: service.provider().to_owned(),
    };
    Json(ModelsResponse { object: "list", data: service.names().map(entry).collect() })
}

/// Adds the member in which OpenAI's clients look for the message; the problem stays as it is.
fn in_openais_shape(error: ApiError) -> ApiError {
    let kind = if status_of(error.kind()).is_client_error() { "invalid_request_error" } else { "server_error" };
    let code = (error.kind() == ErrorKind::NotFound).then_some("model_not_found");
    let member = json!({"message": error.detail(), "type": kind, "param": null, "code": code});
    error.with("error", member)
}
