use std::{sync::Arc, time::Instant};

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use http::{StatusCode, header};
use lakehouse_common::{
    ApiError,
    extract::{Json, Path, Query},
};
use lakehouse_types::{
    ErrorKind, context,
    embed::EmbedRequest,
    vector::{
        AddRequest, AddResponse, CreateIndexRequest, DeleteRequest, DeleteResponse, IndexInfo, IndexList, Item,
        MergeRequest, MergeResponse, SearchRequest, SearchResponse,
    },
};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::AppState;

/// The longest body of a call that takes no items: a vector and a filter of the most conditions
/// have plenty of room. JSON in memory can be twenty times as large as its text.
const MAX_BODY_BYTES: usize = 2 << 20;
/// A list of ids.
const MAX_DELETE_BYTES: usize = 8 << 20;

/// vectord's routes.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/vectors/index", get(list).post(create))
        .route("/vectors/index/{name}", get(info).delete(remove))
        .route(
            "/vectors/index/{name}/add",
            post(add)
                .layer(DefaultBodyLimit::max(state.max_body_bytes))
                .layer(middleware::from_fn_with_state(state.clone(), while_there_is_room)),
        )
        .route("/vectors/index/{name}/search", post(search))
        .route("/vectors/index/{name}/delete", post(delete).layer(DefaultBodyLimit::max(MAX_DELETE_BYTES)))
        .route("/vectors/index/{name}/merge", post(merge))
        .route("/vectors/index/{name}/items/{id}", get(item))
        .route("/vectors/index/{name}/items", get(item_by_query))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(state)
}

/// Large bodies wait in memory until they are committed, so only so much of them is let in.
async fn while_there_is_room(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let size = request.headers().get(header::CONTENT_LENGTH);
    let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
    request.extensions_mut().insert(Room(Arc::new(state.room_for(size)?)));
    Ok(next.run(request).await)
}

/// What a body takes of the room for all.
#[derive(Clone)]
struct Room(#[expect(dead_code, reason = "held, and given back by being dropped")] Arc<OwnedSemaphorePermit>);

async fn list(State(state): State<AppState>) -> Result<Json<IndexList>, ApiError> {
    Ok(Json(state.registry()?.list()))
}

async fn create(
    State(state): State<AppState>,
    Json(request): Json<CreateIndexRequest>,
) -> Result<(StatusCode, Json<IndexInfo>), ApiError> {
    let info = state.registry()?.create(&request).await?;
    Ok((StatusCode::CREATED, Json(info)))
}

async fn info(State(state): State<AppState>, Path(name): Path<String>) -> Result<Json<IndexInfo>, ApiError> {
    Ok(Json(state.registry()?.info(&name)?))
}

async fn remove(State(state): State<AppState>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    state.registry()?.drop_index(&name).await?;
    state.searches.forget(&name);
    Ok(StatusCode::NO_CONTENT)
}

async fn add(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Extension(room): Extension<Room>,
    Json(request): Json<AddRequest>,
) -> Result<Json<AddResponse>, ApiError> {
    let registry = Arc::clone(state.registry()?);
    // The items are in memory until they are committed, whether their caller waits for that or not.
    let add = async move {
        let added = registry.add(&name, request).await;
        drop(room);
        added
    };
    let added = tokio::spawn(context::carried(add)).await.map_err(|error| {
        tracing::error!(%error, "add items");
        ApiError::new(ErrorKind::Internal, "an internal error; the log has it under this request id")
    })?;
    Ok(Json(added?))
}

async fn delete(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(request): Json<DeleteRequest>,
) -> Result<Json<DeleteResponse>, ApiError> {
    Ok(Json(state.registry()?.delete(&name, request).await?))
}

async fn item(State(state): State<AppState>, Path((name, id)): Path<(String, String)>) -> Result<Json<Item>, ApiError> {
    Ok(Json(state.registry()?.get(&name, &id)?))
}

/// Which item, for ids that no path can carry: `.`, `a/../b`, and whatever else is taken for a place in
/// a tree on the way here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    id: String,
}

async fn item_by_query(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Query(Which { id }): Query<Which>,
) -> Result<Json<Item>, ApiError> {
    Ok(Json(state.registry()?.get(&name, &id)?))
}

async fn search(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(mut request): Json<SearchRequest>,
) -> Result<Json<SearchResponse>, ApiError> {
    let registry = state.registry()?;
    if let Some(text) = request.text.take() {
        if request.vector.is_some() {
            return Err(ApiError::new(ErrorKind::InvalidInput, "give `vector` or `text`, not both"));
        }
        // A missing index is the caller's first mistake, and costs no embedding.
        registry.info(&name)?;
        request.vector = Some(embedded(&state, text).await?);
    }
    let started = Instant::now();
    let response = registry.search(&name, request).await?;
    state.searches.took(&name, started.elapsed());
    Ok(Json(response))
}

async fn embedded(state: &AppState, text: String) -> Result<Vec<f32>, ApiError> {
    let Some(client) = &state.embed else {
        return Err(ApiError::new(ErrorKind::Unavailable, "no embedding service is configured (vectord.embedd_url)"));
    };
    let request = EmbedRequest { texts: vec![text], model: None };
    let answer = client.embed(&request).await?;
    answer.vectors.into_iter().next().ok_or_else(|| ApiError::new(ErrorKind::BadGateway, "embedd gave no vector"))
}

async fn merge(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(request): Json<MergeRequest>,
) -> Result<Json<MergeResponse>, ApiError> {
    Ok(Json(state.registry()?.merge(&name, &request).await?))
}
