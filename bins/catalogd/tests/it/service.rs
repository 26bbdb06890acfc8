//! catalogd without a socket, over a store that can be switched off.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use lakehouse_common::{App, Shutdown, config::Config};
use lakehouse_objstore::{
    ByteStream, Error, GetOptions, Memory, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome, body,
};
use lakehouse_types::{ObjectKey, store::ListPage};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

/// The store; off, every call fails as if nobody listened.
#[derive(Debug, Default)]
pub(crate) struct Switch {
    store: Memory,
    off: AtomicBool,
}

impl Switch {
    pub(crate) fn turn(&self, on: bool) {
        self.off.store(!on, Ordering::SeqCst);
    }

    fn on(&self) -> Result<&Memory, Error> {
        if self.off.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { reason: "10.1.2.3:3211 refused".into(), retry_after: None });
        }
        Ok(&self.store)
    }

    /// Writes beside the catalog.
    pub(crate) async fn write(&self, key: &str, content: &'static str) {
        self.store.put(&ObjectKey::new(key).unwrap(), body(content), PutOptions::default()).await.unwrap();
    }
}

#[async_trait]
impl ObjectStore for Switch {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, Error> {
        self.on()?.put(key, body, options).await
    }
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
        self.on()?.get(key, options).await
    }
    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        self.on()?.head(key).await
    }
    async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        self.on()?.delete(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error> {
        self.on()?.list(prefix, after, limit).await
    }
    async fn check(&self) -> Result<(), Error> {
        self.on()?.check().await
    }
}

/// One catalogd.
pub(crate) struct Service {
    router: Router,
    shutdown: Shutdown,
    _app: App,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }
}

impl Service {
    /// Starts one over `store`, whatever state that is in.
    pub(crate) async fn start(store: &Arc<Switch>) -> Self {
        let config = Config::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut app = App::new("catalogd", &config, &listener).unwrap();
        let shutdown = Shutdown::new();
        let store = Arc::clone(store) as Arc<dyn ObjectStore>;
        let state = catalogd::start(&mut app, store, Duration::from_millis(100), &shutdown);
        Self { router: app.router(catalogd::router(state)), shutdown, _app: app }
    }

    /// Starts one and waits until it is ready.
    pub(crate) async fn ready(store: &Arc<Switch>) -> Self {
        let service = Self::start(store).await;
        service.until("it is ready", "/readyz", |answer| answer.status == 200).await;
        service
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        assert!(head.headers.contains_key("x-request-id"));
        if head.status.is_client_error()
            || (head.status == StatusCode::SERVICE_UNAVAILABLE && !text.contains("waiting"))
        {
            assert_eq!(head.headers["content-type"], "application/problem+json", "{text}");
        }
        Answer { status: head.status.as_u16(), headers: head.headers, text }
    }

    pub(crate) async fn call(&self, method: &str, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).await
    }

    pub(crate) async fn register(&self, body: &Value) -> Answer {
        self.post("application/json", body.to_string()).await
    }

    pub(crate) async fn post(&self, content_type: &str, body: String) -> Answer {
        let request = Request::post("/catalog/register").header("content-type", content_type);
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Asks for `path` until the answer is right.
    pub(crate) async fn until(&self, what: &str, path: &str, right: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.get(path).await;
            if right(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "it never came to this: {what}; the last answer is {answer:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}
