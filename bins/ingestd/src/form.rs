//! The multipart form of an upload: its field `file`, streamed to the spool.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, header};
use lakehouse_common::ApiError;
use lakehouse_ingest::{Options, Spooled};
use lakehouse_types::ErrorKind;
use multer::Multipart;
use tower_http::timeout::TimeoutError;

use crate::AppState;

/// What a form may hold beside the file: boundaries, part headers, small fields.
const OVERHEAD: u64 = 1 << 20;

fn bad(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidInput, detail)
}

fn too_large(cap: u64) -> ApiError {
    ApiError::new(ErrorKind::TooLarge, format!("the upload is larger than {cap} bytes")).with("limit", cap)
}

/// Reads the form to its end; the file is in the spool then, whole.
pub(crate) async fn spool(
    state: &AppState,
    headers: &HeaderMap,
    body: Body,
    options: &Options,
) -> Result<Spooled, ApiError> {
    let cap = state.max_body_bytes;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        return Err(bad("the body is no multipart form: send multipart/form-data with the CSV in its field `file`"));
    }
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| bad("the multipart form has no boundary in its Content-Type"))?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > cap.saturating_add(OVERHEAD)) {
        return Err(too_large(cap));
    }
    let over = Arc::new(AtomicBool::new(false));
    let mut form = Multipart::new(bounded(body, cap.saturating_add(OVERHEAD), Arc::clone(&over)), boundary);
    let read = read_fields(state, &mut form, options).await;
    if over.load(Ordering::Relaxed) { Err(too_large(cap)) } else { read }
}

/// The whole body counts, so that no other field or preamble can be endless either.
fn bounded(body: Body, cap: u64, over: Arc<AtomicBool>) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    let mut received = 0_u64;
    body.into_data_stream().map(move |piece| {
        let piece = piece?;
        received = received.saturating_add(piece.len() as u64);
        if received > cap {
            over.store(true, Ordering::Relaxed);
            return Err(axum::Error::new("the form is over its cap"));
        }
        Ok(piece)
    })
}

async fn read_fields(state: &AppState, form: &mut Multipart<'_>, options: &Options) -> Result<Spooled, ApiError> {
    let mut file = None;
    while let Some(mut field) = form.next_field().await.map_err(|error| malformed(&error))? {
        if field.name() != Some("file") {
            // A slip, most likely; to pass over it would only say that there is no file.
            let name = field.name().unwrap_or_default();
            return Err(bad(format!(
                "the form has a field `{name}`; the CSV goes into `file`, and options into the query"
            )));
        }
        if file.is_some() {
            return Err(bad("the form has its field `file` twice"));
        }
        let mut upload = state.ingestor.spool().upload(options)?;
        let mut size = 0_u64;
        while let Some(piece) = field.chunk().await.map_err(|error| malformed(&error))? {
            size = size.saturating_add(piece.len() as u64);
            if size > state.max_body_bytes {
                return Err(too_large(state.max_body_bytes));
            }
            state.metrics.received(piece.len() as u64);
            upload.write(piece).await?;
        }
        file = Some(upload.finish().await?);
    }
    file.ok_or_else(|| bad("the form has no field `file`"))
}

fn malformed(error: &multer::Error) -> ApiError {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    if causes.any(<dyn std::error::Error>::is::<TimeoutError>) {
        return ApiError::new(ErrorKind::RequestTimeout, "the upload stood still for too long");
    }
    match error {
        multer::Error::StreamReadFailed(_) => bad("the upload ended early"),
        multer::Error::IncompleteStream | multer::Error::IncompleteFieldData { .. } => {
            bad("the multipart form has no end: its closing boundary is missing")
        }
        other => bad(format!("the multipart form is malformed, or its boundary is another: {other}")),
    }
}
