//! One request and the head of its answer over one connection.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;

use super::{UploadBody, body::UploadState, connect::Io, deadline::Deadline};
use crate::error::Error;

/// A connection together with the future that drives it.
pub(super) struct Connection {
    sender: http1::SendRequest<UploadBody>,
    /// Dropped at its end: only then does a request that it never took up come back.
    driver: Option<http1::Connection<TokioIo<Io>, UploadBody>>,
    pub(super) deadline: Deadline,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("open", &self.driver.is_some()).finish_non_exhaustive()
    }
}

/// Why an exchange ended without an answer.
pub(super) struct Failure {
    /// The request, where nothing of it was sent.
    pub(super) unsent: Option<Box<Request<UploadBody>>>,
    /// May a request that only reads be sent again? After silence or nonsense it would be no better.
    connection_broke: bool,
    error: Error,
}

impl Failure {
    /// The request to send once more, or the error to end with.
    pub(super) fn repeat(self, copy: &mut Option<Request<UploadBody>>) -> Result<Request<UploadBody>, Error> {
        match copy.take() {
            Some(copy) if self.connection_broke => Ok(copy),
            _ => Err(self.error),
        }
    }
}

impl Connection {
    pub(super) async fn new(io: Io) -> hyper::Result<Box<Self>> {
        let (sender, driver) = http1::handshake(TokioIo::new(io)).await?;
        Ok(Box::new(Self { sender, driver: Some(driver), deadline: Deadline::new() }))
    }

    /// Can another request go over it? Not while one is under way, nor after either side closed it.
    pub(super) fn is_reusable(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Does whatever can be done now: writes, reads, and hands on what was read.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }

    /// Sends a request and waits for the head of the answer, which must come within `limit` of the
    /// last progress of the request's body.
    pub(super) async fn exchange(
        &mut self,
        request: Request<UploadBody>,
        service: &'static str,
        limit: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let upload = request.body().state();
        self.deadline.set(limit);
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, deadline) = (&mut self.driver, &mut self.deadline);
        // The answer arrives while the driver is polled, in this very task; a waker of ours in its
        // channel would only have the task polled once more for nothing.
        let result = poll_fn(|cx| {
            let mut nobody = Context::from_waker(Waker::noop());
            drive(driver, cx);
            if let Poll::Ready(result) = answer.as_mut().poll(&mut nobody) {
                return Poll::Ready(Some(result));
            }
            if upload.as_ref().is_some_and(|upload| upload.take_progress()) {
                deadline.set(limit);
            }
            deadline.poll(cx).map(|()| None)
        })
        .await;
        match result {
            Some(Ok(answer)) => {
                // Only now: a request that got nowhere is sent again, with its body.
                if let Some(upload) = &upload {
                    upload.answered();
                }
                Ok(answer)
            }
            Some(Err(error)) => Err(failure(error, upload.as_deref(), service)),
            None => {
                Err(Failure { unsent: None, connection_broke: false, error: Error::Slow { service, after: limit } })
            }
        }
    }
}

fn drive(driver: &mut Option<http1::Connection<TokioIo<Io>, UploadBody>>, cx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready()) {
        *driver = None;
    }
}

fn failure(
    mut error: TrySendError<Request<UploadBody>>,
    upload: Option<&UploadState>,
    service: &'static str,
) -> Failure {
    let unsent = error.take_message().map(Box::new);
    let error = error.into_error();
    if let Some(source) = upload.and_then(UploadState::take_failure) {
        return Failure { unsent: None, connection_broke: false, error: Error::upload(source) };
    }
    let connection_broke = !(error.is_parse() || error.is_user());
    Failure { unsent, connection_broke, error: Error::Exchange { service, source: error.into() } }
}
