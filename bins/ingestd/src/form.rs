//! The multipart form of an upload: its field `file`, streamed to the spool.

use std::{
    error::Error as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, header};
use lakehouse_common::ApiError;
use lakehouse_ingest::{Options, Spooled};
use lakehouse_types::ErrorKind;
use multer::Multipart;
use tower_http::timeout::TimeoutError;

use crate::AppState;

/// What a form may hold beside the file: boundaries, part headers, small fields. It is kept in memory
/// until the place where it ends is found.
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
    let meter = Arc::<Meter>::default();
    let metered = Metered {
        body: body.into_data_stream(),
        left: cap.saturating_add(OVERHEAD),
        meter: Arc::clone(&meter),
        parsing: false,
    };
    let mut form = Multipart::new(metered, boundary);
    let read = read_fields(state, &mut form, &meter, options).await;
    if meter.over.load(Ordering::Relaxed) {
        return Err(too_large(cap));
    }
    if meter.lost.load(Ordering::Relaxed) {
        return Err(bad("the multipart form is malformed: a megabyte of it has no boundary and is no part's content"));
    }
    read
}

/// What the reader of a form and its body tell each other.
#[derive(Default)]
struct Meter {
    /// The file's content is being read: it goes on to the spool, piece by piece.
    in_file: AtomicBool,
    /// Bytes that wait in memory for a boundary, or for the end of a part's head.
    waiting: AtomicU64,
    /// The body is over its cap.
    over: AtomicBool,
    /// Too much waits.
    lost: AtomicBool,
}

/// A form's body. All of it counts, so that no other field or preamble can be endless either; and what
/// the parser would gather in memory is bounded.
struct Metered {
    body: BodyDataStream,
    left: u64,
    meter: Arc<Meter>,
    /// The parser has a piece that it has not looked at: it asks for more for as long as there is some.
    parsing: bool,
}

impl Stream for Metered {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.parsing) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let in_file = self.meter.in_file.load(Ordering::Relaxed);
        if !in_file && self.meter.waiting.load(Ordering::Relaxed) > OVERHEAD {
            self.meter.lost.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new("the form has no boundary"))));
        }
        let Some(piece) = ready!(self.body.poll_next_unpin(cx)).transpose()? else { return Poll::Ready(None) };
        let size = piece.len() as u64;
        let Some(left) = self.left.checked_sub(size) else {
            self.meter.over.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(axum::Error::new("the form is over its cap"))));
        };
        self.left = left;
        self.parsing = true;
        self.meter.waiting.fetch_add(size, Ordering::Relaxed);
        Poll::Ready(Some(Ok(piece)))
    }
}

async fn read_fields(
    state: &AppState,
    form: &mut Multipart<'_>,
    meter: &Meter,
    options: &Options,
) -> Result<Spooled, ApiError> {
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
        meter.in_file.store(true, Ordering::Relaxed);
        while let Some(piece) = field.chunk().await.map_err(|error| malformed(&error))? {
            size = size.saturating_add(piece.len() as u64);
            if size > state.max_body_bytes {
                return Err(too_large(state.max_body_bytes));
            }
            state.metrics.received(piece.len() as u64);
            upload.write(piece).await?;
        }
        file = Some(upload.finish().await?);
        meter.waiting.store(0, Ordering::Relaxed);
        meter.in_file.store(false, Ordering::Relaxed);
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
