use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use http::HeaderValue;
use lakehouse_common::{App, Shutdown, StartError, config::Config};

use crate::{
    chat::{self, Chat},
    metrics::GatewayMetrics,
    mounts::Service,
    upstream::{Options, Upstream},
};

/// How often idle connections are looked through.
const CLOSE_IDLE_EVERY: Duration = Duration::from_secs(5);

/// What the handlers need. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// In the order of [`Service::ALL`].
    services: [Upstream; Service::ALL.len()],
    chat: Option<Chat>,
    via: HeaderValue,
}

impl AppState {
    /// The services of `config`. Nothing is connected yet: the gateway serves before they do.
    ///
    /// # Errors
    /// A chat token that can't be sent; a TLS setup that can't be used.
    pub(crate) fn new(config: &Config, app: &App) -> Result<Self, StartError> {
        let gateway = &config.gateway;
        let options = Options {
            connect_timeout: Duration::from_millis(gateway.connect_timeout_ms),
            response_timeout: Duration::from_secs(gateway.response_timeout_seconds),
            idle_timeout: Duration::from_secs(gateway.idle_timeout_seconds),
            pool_size: gateway.pool_size,
            pool_idle: Duration::from_secs(config.limits.header_timeout_seconds) / 2,
        };
        let metrics = GatewayMetrics::new(app.metrics());
        let service = |service: Service, url| Upstream::new(service.name(), url, options, metrics.of(service.name()));
        let services = [
            service(Service::Storaged, &gateway.storaged_url)?,
            service(Service::Catalogd, &gateway.catalogd_url)?,
            service(Service::Ingestd, &gateway.ingestd_url)?,
            service(Service::Queryd, &gateway.queryd_url)?,
            service(Service::Vectord, &gateway.vectord_url)?,
            service(Service::Embedd, &gateway.embedd_url)?,
        ];
        let chat = Chat::new(gateway, options, metrics.of(chat::NAME))?;
        app.health_detail("chat", chat.is_some());
        Ok(Self { inner: Arc::new(Inner { services, chat, via: via()? }) })
    }

    /// The connections to a service.
    #[expect(
        clippy::indexing_slicing,
        reason = "one place for each discriminant; a test in mounts.rs holds them together"
    )]
    pub(crate) fn upstream(&self, service: Service) -> &Upstream {
        &self.inner.services[service as usize]
    }

    /// The chat endpoint.
    pub(crate) fn chat(&self) -> Option<&Chat> {
        self.inner.chat.as_ref()
    }

    /// What this process adds to `Via`: a name that no other process has, so that a request that
    /// comes back is known.
    pub(crate) fn via(&self) -> &HeaderValue {
        &self.inner.via
    }

    /// Closes connections that nobody used for a while, until `shutdown`.
    pub(crate) async fn close_idle(self, shutdown: Shutdown) {
        while shutdown.sleep(CLOSE_IDLE_EVERY).await {
            self.inner.services.iter().for_each(Upstream::close_idle);
            if let Some(chat) = self.chat() {
                chat.upstream().close_idle();
            }
        }
    }
}

fn via() -> Result<HeaderValue, StartError> {
    // A hasher of the standard library starts from the system's randomness.
    let process = RandomState::new().hash_one(std::process::id());
    HeaderValue::try_from(format!("1.1 lakehouse-{process:016x}"))
        .map_err(|error| StartError::new(format!("make Via: {error}")))
}
