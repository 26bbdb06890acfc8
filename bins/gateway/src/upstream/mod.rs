//! Connections to one service, and requests over them.
//!
//! A connection has no task of its own. The task that works for the caller drives the connection
//! it borrowed, first for the head of the answer, then for its body, and gives it back at the end.
//! So there is no hand-over between tasks for any request, a caller that goes away takes its
//! connection (and with it the service's work) along, and back-pressure needs no channel. Against
//! hyper-util's pooled client, which has a task for each connection, a small GET costs 4 % fewer
//! instructions in the whole gateway (callgrind: 74,600 and 78,000); that client can't say either
//! whether anything of a request was sent, which the retries here go by.

mod body;
mod connect;
mod deadline;
mod exchange;
mod pool;

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response};
use lakehouse_common::{StartError, config::ServiceUrl};

pub(crate) use body::{AnswerBody, UploadBody};

use crate::{error::Error, metrics::UpstreamMetrics};
use connect::Connector;
use exchange::{Connection, Failure};
use pool::Pool;

/// The time limits of requests to a service, and how many idle connections are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// For a connection to be made.
    pub(crate) connect_timeout: Duration,
    /// From the last byte of the request's body to the head of the answer.
    pub(crate) response_timeout: Duration,
    /// Between two pieces of the answer's body.
    pub(crate) idle_timeout: Duration,
    /// Idle connections kept.
    pub(crate) pool_size: usize,
    /// How long an idle connection is kept. Shorter than the services keep theirs, so that it is
    /// nearly always this side that closes: a request sent into a closing connection is lost.
    pub(crate) pool_idle: Duration,
}

/// One service, or the chat endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    connector: Connector,
    /// The URL's path without a slash at its end; usually empty.
    base_path: String,
    pool: Pool,
    options: Options,
    metrics: UpstreamMetrics,
}

impl Upstream {
    /// A service at `url`. Nothing is connected yet.
    ///
    /// # Errors
    /// Where the URL is `https` and the system's root certificates can't be used.
    pub(crate) fn new(
        name: &'static str,
        url: &ServiceUrl,
        options: Options,
        metrics: UpstreamMetrics,
    ) -> Result<Self, StartError> {
        let url = url.url();
        let connector = Connector::new(name, url)?;
        let base_path = url.path().trim_end_matches('/').to_owned();
        let pool = Pool::new(options.pool_size, options.pool_idle);
        Ok(Self { inner: Arc::new(Inner { name, connector, base_path, pool, options, metrics }) })
    }

    /// The service's name.
    pub(crate) fn name(&self) -> &'static str {
        self.inner.name
    }

    /// What goes before the path of a request.
    pub(crate) fn base_path(&self) -> &str {
        &self.inner.base_path
    }

    /// The value of `Host`.
    pub(crate) fn host(&self) -> HeaderValue {
        self.inner.connector.host().clone()
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn close_idle(&self) {
        self.inner.pool.close_idle();
    }

    /// Sends `request`, whose target is in origin form, and waits for the head of the answer.
    ///
    /// A request of which nothing was sent is sent again over another connection. One without a
    /// body that only reads (GET, HEAD) is sent again once although it was sent: the usual cause is
    /// a service that closed an idle connection at that moment.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Exchange`], [`Error::Slow`], [`Error::Upload`].
    pub(crate) async fn send(&self, request: Request<UploadBody>) -> Result<Response<AnswerBody>, Error> {
        let result = self.send_uncounted(request).await;
        self.inner.metrics.done(result.as_ref().map(Response::status));
        result
    }

    async fn send_uncounted(&self, mut request: Request<UploadBody>) -> Result<Response<AnswerBody>, Error> {
        let mut again = copy_if_repeatable(&request);
        while let Some(connection) = self.inner.pool.take() {
            match self.exchange(connection, request).await {
                Ok(answer) => return Ok(answer),
                // It was closed while idle; so may the next one be, but the pool runs out of them.
                Err(Failure { unsent: Some(unsent), .. }) => request = *unsent,
                Err(failure) => {
                    request = failure.repeat(&mut again)?;
                    self.inner.metrics.retried();
                    break;
                }
            }
        }
        loop {
            let connection = self.connect().await?;
            match self.exchange(connection, request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    request = failure.repeat(&mut again)?;
                    self.inner.metrics.retried();
                }
            }
        }
    }

    async fn connect(&self) -> Result<Box<Connection>, Error> {
        let Inner { name, connector, options, metrics, .. } = &*self.inner;
        metrics.connecting();
        let io = connector
            .connect(options.connect_timeout)
            .await
            .map_err(|source| Error::Connect { service: name, source })?;
        Connection::new(io).await.map_err(|source| Error::Exchange { service: name, source: source.into() })
    }

    async fn exchange(
        &self,
        mut connection: Box<Connection>,
        request: Request<UploadBody>,
    ) -> Result<Response<AnswerBody>, Failure> {
        let answer = connection.exchange(request, self.inner.name, self.inner.options.response_timeout).await?;
        let has_length = answer.headers().contains_key(http::header::CONTENT_LENGTH);
        Ok(answer.map(|body| AnswerBody::new(body, has_length, connection, self)))
    }

    /// Takes a connection back if another request can go over it.
    fn give_back(&self, connection: Box<Connection>) {
        if connection.is_reusable() {
            self.inner.pool.put(connection);
        }
    }

    fn idle_timeout(&self) -> Duration {
        self.inner.options.idle_timeout
    }
}

/// A second copy of a request that may be sent twice: one that only reads, and has no body.
fn copy_if_repeatable(request: &Request<UploadBody>) -> Option<Request<UploadBody>> {
    let repeatable = matches!(*request.method(), http::Method::GET | http::Method::HEAD) && request.body().is_none();
    repeatable.then(|| {
        let mut copy = Request::new(UploadBody::none());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        copy
    })
}
