//! One struct a section, one field a key. The doc comment of a field gives its meaning, the name
//! its unit, the right-hand side its default; `config/lakehouse.toml` says the same, and a test
//! holds the two together.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    section::section,
    value::{EmbedProvider, LogFormat, Secret, ServiceUrl, StoreBackend},
};

/// A default address on loopback.
const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

/// A default URL. The literals below are checked by a test; a wrong one could not start anything.
fn url(text: &str) -> ServiceUrl {
    #[expect(clippy::expect_used, reason = "only called with literals, every one of which a test loads")]
    ServiceUrl::new(text).expect("a valid default URL")
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

section! {
    /// The one door for clients.
    pub struct Gateway("gateway") {
        /// Address to listen on.
        bind: SocketAddr = loopback(3110),
        /// Where storaged is.
        storaged_url: ServiceUrl = url("http://127.0.0.1:3211"),
        /// Where catalogd is.
        catalogd_url: ServiceUrl = url("http://127.0.0.1:3212"),
        /// Where ingestd is.
        ingestd_url: ServiceUrl = url("http://127.0.0.1:3213"),
        /// Where queryd is.
        queryd_url: ServiceUrl = url("http://127.0.0.1:3214"),
        /// Where vectord is.
        vectord_url: ServiceUrl = url("http://127.0.0.1:3215"),
        /// Where embedd is.
        embedd_url: ServiceUrl = url("http://127.0.0.1:3216"),
        /// A chat-completions endpoint, whole; empty: /v1/chat answers 503.
        chat_url: Option<ServiceUrl> = None,
        /// Bearer token for the chat endpoint; the caller's own is never passed on to it.
        chat_token: Secret = Secret::default(),
        /// A file that holds `chat_token`.
        chat_token_file: PathBuf = PathBuf::new(),
        /// How long a connection to a service may take.
        connect_timeout_ms: u64 = 2_000,
        /// How long a service may take until its answer begins.
        response_timeout_seconds: u64 = 600,
        /// How long a body may stand still on its way from a service.
        idle_timeout_seconds: u64 = 120,
        /// Idle connections kept open to each service.
        pool_size: usize = 256,
    }
}

section! {
    /// The bytes.
    pub struct Storaged("storaged") {
        /// Address to listen on.
        bind: SocketAddr = loopback(3211),
        /// local, s3 or memory.
        backend: StoreBackend = StoreBackend::Local,
        /// The local backend's directory.
        root: PathBuf = PathBuf::from("data/objects"),
        /// Largest object; S3's own limit is 5 TiB.
        max_object_bytes: u64 = 64 * GIB,
    }
}

section! {
    /// An S3 endpoint, for `storaged.backend = "s3"`.
    pub struct S3("s3") {
        /// The endpoint's URL; empty: the region's own.
        endpoint: Option<ServiceUrl> = None,
        /// The region.
        region: String = "us-east-1".to_owned(),
        /// The bucket.
        bucket: String = "lakehouse".to_owned(),
        /// Put before every key, with a `/` between; empty: nothing.
        prefix: String = String::new(),
        /// Bucket in the path instead of the host name; what most servers other than AWS want.
        path_style: bool = true,
        /// Make the bucket at start if it is missing.
        create_bucket: bool = false,
        /// The access key.
        access_key_id: Secret = Secret::default(),
        /// A file that holds `access_key_id`.
        access_key_id_file: PathBuf = PathBuf::new(),
        /// The secret key.
        secret_access_key: Secret = Secret::default(),
        /// A file that holds `secret_access_key`.
        secret_access_key_file: PathBuf = PathBuf::new(),
        /// For temporary credentials.
        session_token: Secret = Secret::default(),
    }
}

section! {
    /// The facts about datasets.
    pub struct Catalogd("catalogd") {
        /// Address to listen on.
        bind: SocketAddr = loopback(3212),
        /// Where storaged is.
        storaged_url: ServiceUrl = url("http://127.0.0.1:3211"),
        /// How often the store is asked for what another catalogd wrote.
        refresh_seconds: u64 = 5,
    }
}

section! {
    /// CSV in.
    pub struct Ingestd("ingestd") {
        /// Address to listen on.
        bind: SocketAddr = loopback(3213),
        /// Where storaged is.
        storaged_url: ServiceUrl = url("http://127.0.0.1:3211"),
        /// Where catalogd is.
        catalogd_url: ServiceUrl = url("http://127.0.0.1:3212"),
        /// Where uploads wait while they are converted.
        spool_dir: PathBuf = PathBuf::from("data/spool"),
        /// Largest upload.
        max_body_bytes: u64 = 16 * GIB,
        /// Threads of one conversion; 0: one a core.
        threads: usize = 0,
        /// Conversions at once.
        max_concurrent: usize = 2,
        /// Uploads that may wait for a conversion; more are told to come back.
        max_queued: usize = 32,
        /// How often orphaned objects are looked for.
        sweep_interval_seconds: u64 = 600,
        /// How long an object that no dataset names is kept.
        sweep_grace_seconds: u64 = 3_600,
    }
}

section! {
    /// SQL.
    pub struct Queryd("queryd") {
        /// Address to listen on.
        bind: SocketAddr = loopback(3214),
        /// Where storaged is.
        storaged_url: ServiceUrl = url("http://127.0.0.1:3211"),
        /// Where catalogd is.
        catalogd_url: ServiceUrl = url("http://127.0.0.1:3212"),
        /// Where Parquet files are kept close; losing it costs time only.
        cache_dir: PathBuf = PathBuf::from("data/cache"),
        /// Most bytes in the cache.
        cache_bytes: u64 = 20 * GIB,
        /// Where a query's working set goes when memory is short.
        spill_dir: PathBuf = PathBuf::from("data/spill"),
        /// Most bytes of spilled data.
        spill_bytes: u64 = 10 * GIB,
        /// Memory for all queries together; each may have its part of it, and spills beyond. The
        /// systemd unit's MemoryMax must leave room for 1.25 times as much, 256 MiB for each query
        /// at once, and queryd itself.
        memory_bytes: u64 = GIB,
        /// Threads of one query; 0: one a core.
        threads: usize = 0,
        /// Queries at once.
        max_concurrent: usize = 4,
        /// Queries that may wait for a place; more are told to come back.
        max_queued: usize = 64,
        /// Longest that a query may work; waiting for a slow caller does not count.
        timeout_seconds: u64 = 60,
        /// Largest answer, in the encoding asked for.
        max_result_bytes: u64 = GIB,
        /// Run statements in processes of their own; false, in threads, is for trusted callers only.
        worker_processes: bool = true,
    }
}

section! {
    /// Vector search.
    pub struct Vectord("vectord") {
        /// Address to listen on.
        bind: SocketAddr = loopback(3215),
        /// Where storaged is; empty: indexes live in memory only and end with the process.
        storaged_url: Option<ServiceUrl> = Some(url("http://127.0.0.1:3211")),
        /// Where embedd is, for searches by text; empty: such searches answer 503.
        embedd_url: Option<ServiceUrl> = Some(url("http://127.0.0.1:3216")),
        /// Largest body of a call.
        max_body_bytes: u64 = 256 * MIB,
        /// Threads that build graphs; 0: one a core.
        threads: usize = 0,
        /// How long loading one index may take at start.
        load_timeout_seconds: u64 = 120,
        /// Longest wait between a change and the snapshot that covers it.
        save_interval_seconds: u64 = 30,
        /// How long an add waits for the graph to catch up with earlier ones before it is answered 503.
        backlog_wait_seconds: u64 = 30,
    }
}

section! {
    /// Text to vectors.
    pub struct Embedd("embedd") {
        /// Address to listen on.
        bind: SocketAddr = loopback(3216),
        /// hash, ollama, openai or local.
        provider: EmbedProvider = EmbedProvider::Hash,
        /// The provider's model; empty: the provider's usual one.
        model: String = String::new(),
        /// Further names under which callers may ask for the model.
        model_aliases: Vec<String> = Vec::new(),
        /// Length of the vectors; 0: as the model has it (hash: 384). openai is asked for it.
        dimension: usize = 0,
        /// The provider's URL; empty: where it usually is. openai: with its /v1.
        url: Option<ServiceUrl> = None,
        /// The provider's API key (openai).
        api_key: Secret = Secret::default(),
        /// A file that holds `api_key`.
        api_key_file: PathBuf = PathBuf::new(),
        /// The model's directory (local).
        model_dir: PathBuf = PathBuf::new(),
        /// Texts in one call to the provider.
        batch_size: usize = 32,
        /// Calls to the provider at once.
        max_concurrent_batches: usize = 4,
        /// Texts in one request.
        max_texts: usize = 2_048,
        /// Bytes of one text.
        max_text_bytes: usize = 256 << 10,
        /// Bytes of one request's body.
        max_body_bytes: u64 = 32 * MIB,
        /// Memory for vectors of texts seen before.
        cache_bytes: u64 = 64 * MIB,
        /// How long the provider may take for one call.
        timeout_seconds: u64 = 60,
    }
}

section! {
    /// Agent logs to evidence: the job `materializer`.
    pub struct Materializer("materializer") {
        /// The folder that holds data/, reports/ and exports/.
        root: PathBuf = PathBuf::from("."),
        /// The gateway of the lakehouse that new evidence is brought into; empty: it stays on disk.
        gateway_url: Option<ServiceUrl> = None,
        /// End with 1 if any row was skipped.
        strict: bool = false,
        /// Buckets of each distribution that drift compares.
        drift_buckets: usize = 10,
    }
}

section! {
    /// A task answered from earlier runs: the job `replay`.
    pub struct Replay("replay") {
        /// The folder that holds data/.
        root: PathBuf = PathBuf::from("."),
        /// The gateway that is asked for models, vectors and the index.
        gateway_url: ServiceUrl = url("http://127.0.0.1:3110"),
        /// Models, the first to try first.
        models: Vec<String> = Vec::new(),
        /// Earlier runs to remember, 100 at most.
        k: usize = 5,
        /// Tokens that these may take in the prompt.
        context_tokens: usize = 2_000,
        /// How long a model may take.
        timeout_seconds: u64 = 120,
    }
}

section! {
    /// Who may call; the same in every service.
    pub struct Auth("auth") {
        /// The token that callers send as `Authorization: Bearer <token>`; empty: none is asked for.
        token: Secret = Secret::default(),
        /// A file that holds `token`.
        token_file: PathBuf = PathBuf::new(),
        /// Addresses or networks that may call; empty: all.
        allowed_ips: Vec<String> = Vec::new(),
        /// Addresses or networks whose X-Forwarded-For is believed.
        trusted_proxies: Vec<String> = Vec::new(),
    }
}

section! {
    /// What every service bounds.
    pub struct Limits("limits") {
        /// Connections at once; more are closed at once. Never more than the process may have files open.
        max_connections: usize = 16_384,
        /// Requests at once; more are answered 503.
        max_concurrent_requests: usize = 1_024,
        /// Bytes of a request's line and headers together.
        max_header_bytes: usize = 128 << 10,
        /// How long a request's headers may take, and how long a connection may stay idle between two.
        header_timeout_seconds: u64 = 30,
        /// How long a request's body may stand still.
        body_idle_timeout_seconds: u64 = 30,
        /// How long a caller may take no bytes of its answer.
        write_idle_timeout_seconds: u64 = 60,
        /// How long requests under way may take to finish once the service is told to stop.
        shutdown_seconds: u64 = 20,
        /// Threads that serve requests in each service; 0: one a core.
        worker_threads: usize = 0,
    }
}

section! {
    /// Log lines, on standard error.
    pub struct Log("log") {
        /// error, warn, info, debug, trace, or a filter such as "info,hyper=warn".
        level: String = "info".to_owned(),
        /// auto, text or json.
        format: LogFormat = LogFormat::Auto,
    }
}
