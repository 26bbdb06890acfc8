//! What the S3 tests need beside the store.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lakehouse_objstore::S3Options;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Asks the endpoint itself.
pub(crate) async fn uploads_under_way(options: &S3Options) -> usize {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let (id, secret) = (&options.access_key_id, &options.secret_access_key);
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(options.region.clone()))
        .credentials_provider(aws_credential_types::Credentials::new(id, secret, None, None, "test"))
        .force_path_style(true);
    config.set_endpoint_url(options.endpoint.clone());
    let client = aws_sdk_s3::Client::from_conf(config.build());
    client.list_multipart_uploads().bucket(&options.bucket).send().await.unwrap().uploads().len()
}

/// Passes everything on, save the answers it was told to lose: those requests arrive, and the
/// caller's connection is closed instead of their answers.
pub(crate) struct LossyProxy {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    /// Lose the answer to the next request that has this in its head.
    armed: Mutex<Option<&'static str>>,
    lost: AtomicUsize,
}

impl LossyProxy {
    pub(crate) async fn start(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = endpoint.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared { upstream, armed: Mutex::default(), lost: AtomicUsize::new(0) });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(pass(caller, Arc::clone(&accepting)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn lose_answer_to(&self, header: &'static str) {
        *self.shared.armed.lock().unwrap() = Some(header);
    }

    pub(crate) fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Is the answer to this request to be lost? Once only.
    fn is_armed_against(&self, request: &str) -> bool {
        self.armed.lock().unwrap().take_if(|header| request.contains(*header)).is_some()
    }
}

async fn pass(mut caller: TcpStream, shared: Arc<Shared>) {
    let mut upstream = TcpStream::connect(&shared.upstream).await.unwrap();
    let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut lose = false;
    loop {
        tokio::select! {
            read = caller.read(&mut request) => {
                let Ok(count @ 1..) = read else { return };
                let text = String::from_utf8_lossy(&request[..count]).to_lowercase();
                lose |= shared.is_armed_against(&text);
                if upstream.write_all(&request[..count]).await.is_err() {
                    return;
                }
            }
            read = upstream.read(&mut answer) => {
                let Ok(count @ 1..) = read else { return };
                if lose {
                    shared.lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                if caller.write_all(&answer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
