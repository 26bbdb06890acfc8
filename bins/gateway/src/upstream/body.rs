//! The bodies of a request and of its answer, on their way through.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::{Upstream, exchange::Connection};

/// How long a body is held back for a service that never says `100 Continue`. RFC 9110 wants the
/// wait bounded; a service of this project says it as soon as it wants the first byte.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// What the exchange and the body it sends know of each other. They run in one task; the atomics
/// and the lock are for the compiler.
#[derive(Debug, Default)]
pub(super) struct UploadState {
    progressed: AtomicBool,
    failure: Mutex<Option<axum::Error>>,
    /// The service said `100 Continue`.
    wanted: AtomicBool,
    /// The head of the answer is there.
    answered: AtomicBool,
}

impl UploadState {
    /// Did a piece of the body move since the last call?
    pub(super) fn take_progress(&self) -> bool {
        self.progressed.swap(false, Ordering::Relaxed)
    }

    /// Why the caller's body could not be read.
    pub(super) fn take_failure(&self) -> Option<axum::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A body that is still held back is no longer wanted.
    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    fn fail(&self, error: axum::Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// The body of a request to a service.
#[derive(Debug)]
pub(crate) struct UploadBody(Option<Upload>);

#[derive(Debug)]
struct Upload {
    body: Body,
    state: Arc<UploadState>,
    /// Set while the caller waits for `100 Continue`: until the service says so, or this has
    /// passed, nothing is read from the caller, who thus learns of a refusal before it sends.
    held_back: Option<Pin<Box<Sleep>>>,
}

impl UploadBody {
    /// No body.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// The caller's body.
    pub(crate) fn of(body: Body) -> Self {
        Self(Some(Upload { body, state: Arc::default(), held_back: None }))
    }

    /// Holds the body of `request` back until the service asks for it.
    pub(crate) fn hold_back(request: &mut Request<Self>) {
        let Some(upload) = &mut request.body_mut().0 else { return };
        upload.held_back = Some(Box::pin(sleep(CONTINUE_WAIT)));
        let state = Arc::clone(&upload.state);
        hyper::ext::on_informational(request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                state.wanted.store(true, Ordering::Relaxed);
            }
        });
    }

    pub(crate) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn state(&self) -> Option<Arc<UploadState>> {
        self.0.as_ref().map(|upload| Arc::clone(&upload.state))
    }
}

impl Upload {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(wait) = &mut self.held_back {
            if self.state.answered.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            // No waker for `wanted`: it is set by the same poll of the connection that then asks
            // for the body.
            if !self.state.wanted.load(Ordering::Relaxed) {
                ready!(wait.as_mut().poll(cx));
            }
            self.held_back = None;
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) if frame.is_data() => {
                self.state.progressed.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let text = error.to_string();
                self.state.fail(error);
                Poll::Ready(Some(Err(axum::Error::new(text))))
            }
            // Trailers end at this hop.
            Some(Ok(_)) | None => Poll::Ready(None),
        }
    }
}

impl http_body::Body for UploadBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |upload| upload.poll_frame(cx))
    }

    /// What the caller said in its headers counts, and the connection goes by these.
    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// The body of an answer, with the connection it comes over.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    body: Incoming,
    connection: Option<Box<Connection>>,
    upstream: Upstream,
    /// There is no body, and nothing is said of how long one would be: the answer to a HEAD, or a
    /// status without bodies. A length of 0 would be taken for that of the body that a GET has.
    absent: bool,
}

impl AnswerBody {
    pub(super) fn new(body: Incoming, has_length: bool, connection: Box<Connection>, upstream: &Upstream) -> Self {
        let absent = !has_length && body.is_end_stream();
        let mut this = Self { body, connection: Some(connection), upstream: upstream.clone(), absent };
        if this.body.is_end_stream() {
            this.finish();
        } else if let Some(connection) = &mut this.connection {
            connection.deadline.set(upstream.idle_timeout());
        }
        this
    }

    /// The whole body was read: the connection is free, unless the request is still being sent.
    fn finish(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.upstream.give_back(connection);
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        // As in `exchange`: what is waited for comes from the driver, polled right here.
        let mut nobody = Context::from_waker(Waker::noop());
        let mut driven = false;
        loop {
            match Pin::new(&mut this.body).poll_frame(&mut nobody) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    if this.body.is_end_stream() {
                        this.drive(cx);
                        this.finish();
                    } else if let Some(connection) = &mut this.connection {
                        connection.deadline.set(this.upstream.idle_timeout());
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                // Trailers end at this hop.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => {
                    tracing::warn!(service = this.upstream.name(), %error, "answer broke off");
                    this.connection = None;
                    return Poll::Ready(Some(Err(axum::Error::new(error))));
                }
                Poll::Ready(None) => {
                    this.drive(cx);
                    this.finish();
                    return Poll::Ready(None);
                }
                Poll::Pending if !driven => {
                    driven = true;
                    this.drive(cx);
                }
                Poll::Pending => return this.poll_idle(cx),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.absent { SizeHint::default() } else { self.body.size_hint() }
    }
}

impl AnswerBody {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.drive(cx);
        }
    }

    /// Nothing to hand on for now; an error once that has lasted too long.
    fn poll_idle<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, axum::Error>>> {
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        ready!(connection.deadline.poll(cx));
        let service = self.upstream.name();
        tracing::warn!(service, after = ?self.upstream.idle_timeout(), "answer stood still; giving it up");
        self.connection = None;
        Poll::Ready(Some(Err(axum::Error::new(format!("{service} stopped sending")))))
    }
}
