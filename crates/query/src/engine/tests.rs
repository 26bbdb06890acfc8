use std::sync::Mutex;

use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::testing::{FakeLake, options, parquet};

#[derive(Default)]
struct Outcomes(Mutex<Vec<Outcome>>);

impl Observer for Outcomes {
    fn query_ended(&self, outcome: Outcome, _: Duration) {
        self.0.lock().unwrap().push(outcome);
    }
}

struct Fixture {
    _directory: TempDir,
    lake: Arc<FakeLake>,
    engine: Arc<Engine>,
    outcomes: Arc<Outcomes>,
}

impl Fixture {
    async fn new(change: impl FnOnce(&mut Options)) -> Self {
        let (directory, mut options) = options();
        change(&mut options);
        let lake = Arc::new(FakeLake::default());
        let outcomes = Arc::new(Outcomes::default());
        let engine =
            Engine::start(options, lake.store.clone(), lake.clone(), outcomes.clone()).await.map(Arc::new).unwrap();
        Self { _directory: directory, lake, engine, outcomes }
    }

    async fn json(&self, sql: &str) -> Value {
        serde_json::from_slice(&self.bytes(sql).await.unwrap()).unwrap()
    }

    async fn rows(&self, sql: &str) -> Value {
        self.json(sql).await["rows"].take()
    }

    async fn bytes(&self, sql: &str) -> Result<Bytes, Error> {
        let mut answer = self.engine.query(sql, Format::Json).await?;
        let mut all = Vec::new();
        while let Some(piece) = answer.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }

    async fn error(&self, sql: &str) -> Error {
        match self.bytes(sql).await {
            Err(error) => error,
            Ok(bytes) => panic!("{sql}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(500)])),
        }
    }

    async fn until_idle(&self) {
        while self.engine.stats().running > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.0.lock().unwrap().drain(..).collect()
    }
}

const SLOW: &str = "SELECT count(*) FROM range(10000000000) a WHERE hash(range) % 7 = 3";

#[tokio::test(flavor = "multi_thread")]
async fn datasets_are_tables_under_any_name() {
    let fixture = Fixture::new(|_| {}).await;
    let names =
        ["zipcodes", "O'Brien's data", "x.csv", "Zürich", "a \"b\"", "select", "duckdb_tables", "日本 🦆", "main"];
    for (index, name) in names.iter().enumerate() {
        fixture.lake.put(name, &[&format!("SELECT {index} AS id")]);
    }
    for (index, name) in names.iter().enumerate() {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        assert_eq!(fixture.rows(&format!("SELECT {quoted}.id FROM {quoted}")).await, json!([[index]]), "{name}");
        assert_eq!(fixture.rows(&format!("SELECT * FROM main.{quoted}")).await, json!([[index]]), "{name}");
        let upper = quoted.to_uppercase();
        assert_eq!(
            fixture.rows(&format!("SELECT other.id FROM {upper}, {quoted} AS other")).await,
            json!([[index]]),
            "{name}"
        );
    }
    assert_eq!(fixture.rows("FROM ZipCodes").await, json!([[0]]));
    assert_eq!(fixture.rows("FROM 'x.csv'").await, json!([[2]]));
    assert_eq!(fixture.rows("WITH zipcodes AS (SELECT 99 AS id) FROM zipcodes").await, json!([[99]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_no_dataset_is_named() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.lake.put("weather", &["SELECT 1 AS id"]);
    let error = fixture.error("SELECT * FROM wether").await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.detail(), "there is no dataset `wether`; did you mean `weather`?");
    assert_eq!(fixture.error("SELECT * FROM '/etc/passwd'").await.detail(), "there is no dataset `/etc/passwd`");
    // The same statement passes once there is one: verdicts are kept, existence is not.
    fixture.lake.put("wether", &["SELECT 2 AS id"]);
    assert_eq!(fixture.rows("SELECT * FROM wether").await, json!([[2]]));
    fixture.lake.manifests.lock().retain(|manifest| manifest.name.as_str() != "wether");
    assert!(matches!(fixture.error("SELECT * FROM wether").await, Error::UnknownDataset { .. }));
    let error = fixture.error("SELECT * FROM Torn").await;
    assert_eq!(error.kind(), ErrorKind::BadGateway);
    assert_eq!(error.detail(), "the catalog can't read dataset `Torn`; catalogd's /readyz says why");
}

#[tokio::test(flavor = "multi_thread")]
async fn show_describe_and_explain_work() {
    let fixture = Fixture::new(|_| {}).await;
    assert_eq!(
        fixture.json("SHOW TABLES").await,
        json!({"columns": [{"name": "name", "type": "VARCHAR"}], "rows": [], "row_count": 0})
    );
    fixture.lake.put("b's", &["SELECT 1::BIGINT AS id"]);
    fixture.lake.put("a", &["SELECT 1::BIGINT AS id"]);
    assert_eq!(fixture.rows("SHOW TABLES").await, json!([["a"], ["b's"]]));
    assert_eq!(fixture.rows("SHOW ALL TABLES").await[1], json!(["b's", ["id"], ["BIGINT"], 0]));
    // None of these needed a file.
    assert_eq!(fixture.lake.store.reads(), 0);
    assert_eq!(fixture.rows("SELECT column_name, column_type FROM (DESCRIBE a)").await, json!([["id", "BIGINT"]]));
    assert_eq!(fixture.rows("DESCRIBE a").await[0][0], "id");
    assert_eq!(fixture.rows("SUMMARIZE a").await[0][0], "id");
    let plan = fixture.rows("EXPLAIN ANALYZE SELECT * FROM a WHERE id = 1").await.to_string();
    assert!(plan.contains("READ_PARQUET"), "{plan}");
    assert!(fixture.rows("EXPLAIN (FORMAT json) FROM a").await[0][1].as_str().unwrap().contains("READ_PARQUET"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_seen_at_once_and_an_old_one_until_its_query_ends() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.lake.put("t", &["SELECT range AS id, repeat('x', 100) AS text FROM range(100000)"]);
    let mut answer = fixture.engine.query("SELECT id, text, 'old' FROM t", Format::NdJson).await.unwrap();
    assert_eq!(answer.length(), None);
    let mut lines = answer.next().await.unwrap().unwrap().to_vec();
    for version in 0..5 {
        fixture.lake.put("t", &[&format!("SELECT {version} AS id, 'new' AS text")]);
        assert_eq!(fixture.rows("SELECT id, text FROM t").await, json!([[version, "new"]]));
    }
    while let Some(piece) = answer.next().await {
        lines.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_files_of_a_dataset_are_one_table() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.lake.put("t", &["SELECT 1 AS id", "SELECT 2 AS id", "SELECT 3 AS id"]);
    assert_eq!(
        fixture.rows("SELECT a.id, b.id FROM t a JOIN T b ON a.id = b.id ORDER BY 1").await,
        json!([[1, 1], [2, 2], [3, 3]])
    );
    assert_eq!(fixture.lake.store.reads(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_errors_are_duckdb_s_own_and_say_nothing_of_this_machine() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.lake.put("t", &["SELECT 1 AS id"]);
    let error = fixture.error("SELECT nosuch FROM t").await;
    assert!(error.detail().starts_with("Binder Error: Referenced column \"nosuch\" not found"), "{error}");
    assert!(error.detail().contains("LINE 1: SELECT nosuch FROM t"), "{error}");
    let error = fixture.error("SELECT 'x'::INTEGER").await;
    assert!(error.detail().starts_with("Conversion Error: Could not convert string 'x' to INT32"), "{error}");
    assert!(fixture.error("SELECT sme(1)").await.detail().contains("Did you mean"));
    // Garbage under a good hash: the file is read, doubted, tried again, and the answer is an error.
    fixture.lake.put_files("junk", &[b"PAR1 this is no parquet file PAR1".to_vec()]);
    for sql in ["SELECT * FROM junk", "SELECT * FROM t, Junk"] {
        let error = fixture.error(sql).await;
        let detail = error.detail();
        assert_eq!(error.kind(), ErrorKind::BadGateway, "{error}");
        assert!(detail.to_lowercase().contains("dataset `junk`"), "{detail}");
        assert!(!["parquet", "files/", "VIEW", "LINE"].iter().any(|inside| detail.contains(inside)), "{detail}");
    }
    for sql in ["", "  \n ", "-- nothing", "/* nothing */", ";"] {
        assert_eq!(fixture.error(sql).await.detail(), "the statement is empty", "{sql:?}");
    }
    let outcomes = fixture.outcomes();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Failed).count(), 2, "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused | Outcome::Failed)));
    let error = fixture.error(&format!("SELECT {}", vec!["1"; 5_000].join("+"))).await;
    assert_eq!(error.detail(), "Parser Error: Max expression depth limit of 1000 exceeded.");
}

#[tokio::test(flavor = "multi_thread")]
async fn datasets_may_share_files() {
    let fixture = Fixture::new(|_| {}).await;
    let [jan, mar] = [1, 3].map(|month| parquet(&format!("SELECT {month} AS id")));
    let february = parquet("SELECT 2 AS id");
    fixture.lake.put_files("jan", std::slice::from_ref(&jan));
    fixture.lake.put_files("mar", std::slice::from_ref(&mar));
    fixture.lake.put_files("year", &[jan, february, mar]);
    // By their content alone: what is registered may name any key.
    {
        let mut manifests = fixture.lake.manifests.lock();
        let objects = manifests.iter().flat_map(|manifest| manifest.objects.clone()).collect::<Vec<_>>();
        let year = manifests.iter_mut().find(|manifest| manifest.name.as_str() == "year").unwrap();
        (year.objects[0], year.objects[2]) = (objects[0].clone(), objects[1].clone());
    }
    for from in ["jan, year", "year, jan", "jan, mar, year", "jan, year, JAN AS again"] {
        let rows = fixture.rows(&format!("SELECT DISTINCT year.id FROM {from} ORDER BY 1")).await;
        assert_eq!(rows, json!([[1], [2], [3]]), "{from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_limited_and_the_place_is_free_again() {
    let fixture = Fixture::new(|options| {
        options.timeout = Duration::from_secs(1);
        options.max_concurrent = 1;
    })
    .await;
    for _ in 0..3 {
        let error = fixture.error(SLOW).await;
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        assert_eq!(fixture.rows("SELECT 1").await, json!([[1]]));
    }
    assert_eq!(fixture.outcomes(), [Outcome::Timeout, Outcome::Complete].repeat(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_stops_its_query() {
    let fixture = Fixture::new(|options| options.max_concurrent = 1).await;
    // Before the answer has begun.
    let waiting = tokio::time::timeout(Duration::from_millis(200), fixture.engine.query(SLOW, Format::Json)).await;
    assert!(waiting.is_err());
    fixture.until_idle().await;
    // And in the middle of it.
    let mut answer = fixture.engine.query("FROM range(1000000000)", Format::Csv).await.unwrap();
    answer.next().await.unwrap().unwrap();
    drop(answer);
    fixture.until_idle().await;
    assert_eq!(fixture.rows("SELECT 1").await, json!([[1]]));
    assert_eq!(fixture.outcomes(), [Outcome::Cancelled, Outcome::Cancelled, Outcome::Complete]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_at_once_are_told_to_come_back() {
    let fixture = Fixture::new(|options| (options.max_concurrent, options.max_queued) = (1, 1)).await;
    let running = tokio::spawn({
        let engine = Arc::clone(&fixture.engine);
        async move { engine.query(SLOW, Format::Json).await.map(drop) }
    });
    while fixture.engine.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    let queued = tokio::spawn({
        let engine = Arc::clone(&fixture.engine);
        async move { engine.query("SELECT 1", Format::Json).await.map(drop) }
    });
    while fixture.engine.stats().queued == 0 {
        tokio::task::yield_now().await;
    }
    let error = fixture.error("SELECT 1").await;
    assert!(matches!(error, Error::Busy { running: 1, queued: 1 }), "{error}");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(1))));
    running.abort();
    queued.await.unwrap().unwrap();
    assert_eq!(fixture.engine.stats().queued, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_over_its_limit_is_an_error_early_and_a_break_late() {
    let fixture = Fixture::new(|options| options.max_result_bytes = 100_000).await;
    let error = fixture.error("SELECT range, repeat('x', 100) FROM range(10000)").await;
    assert!(matches!(error, Error::ResultTooLarge { limit: 100_000 }), "{error}");
    let fixture = Fixture::new(|options| options.max_result_bytes = 2_000_000).await;
    let mut answer =
        fixture.engine.query("SELECT range, repeat('x', 100) FROM range(100000)", Format::Json).await.unwrap();
    let mut last = None;
    while let Some(piece) = answer.next().await {
        last = Some(piece);
    }
    assert!(matches!(last, Some(Err(Error::ResultTooLarge { .. }))));
    drop(answer);
    assert_eq!(fixture.outcomes(), [Outcome::TooLarge]);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_over_the_limit_is_an_error_and_not_the_end() {
    let fixture = Fixture::new(|options| {
        options.memory_bytes = 64 << 20;
        options.spill_bytes = 1 << 20;
    })
    .await;
    let error = fixture.error("SELECT list(range) FROM range(50000000)").await;
    assert!(matches!(error, Error::Memory { .. } | Error::Spill { .. }), "{error}");
    assert!(!error.detail().contains("SET ") && error.detail().contains(" bytes "), "{error}");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(fixture.rows("SELECT 1").await, json!([[1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_swept_after_the_snapshot_is_looked_up_again() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.lake.put("t", &["SELECT 1 AS id"]);
    let old = fixture.lake.manifests.lock().clone();
    fixture.lake.store.objects.lock().clear();
    fixture.lake.put("t", &["SELECT 2 AS id"]);
    fixture.lake.stale.lock().push(old.clone());
    assert_eq!(fixture.rows("FROM t").await, json!([[2]]));
    // Gone for good: an error that is the service's, not the caller's.
    *fixture.lake.manifests.lock() = old;
    let error = fixture.error("FROM t").await;
    assert_eq!(error.kind(), ErrorKind::BadGateway);
    assert!(!error.detail().contains("datasets/") && error.detail().contains("dataset `t`"), "{}", error.detail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_under_a_running_service_is_replaced() {
    let fixture = Fixture::new(|_| {}).await;
    fixture.lake.put("t", &["SELECT 1 AS id"]);
    assert_eq!(fixture.rows("FROM t").await, json!([[1]]));
    let files = fixture.engine.options.cache_dir.join("files");
    for entry in fs::read_dir(&files).unwrap() {
        let path = entry.unwrap().path();
        let length = fs::metadata(&path).unwrap().len();
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![b'x'; length as usize]).unwrap();
    }
    assert_eq!(fixture.rows("FROM t").await, json!([[1]]));
    assert_eq!(fixture.engine.stats().cache.corrupt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_query_is_left_for_the_next() {
    let fixture = Fixture::new(|options| options.max_concurrent = 1).await;
    fixture.lake.put("t", &["SELECT 1 AS id"]);
    assert_eq!(fixture.rows("WITH x AS (FROM t) FROM x").await, json!([[1]]));
    assert!(matches!(fixture.error("FROM x").await, Error::UnknownDataset { .. }));
    // A dataset that is gone is gone, though its view may still be there.
    fixture.lake.manifests.lock().clear();
    assert!(matches!(fixture.error("FROM t").await, Error::UnknownDataset { .. }));
    // More views than are kept.
    let file = crate::testing::parquet("SELECT 7 AS id");
    for index in 0..300 {
        fixture.lake.put_files(&format!("t{index}"), std::slice::from_ref(&file));
        assert_eq!(fixture.rows(&format!("FROM t{index}")).await, json!([[7]]));
    }
    assert_eq!(fixture.rows("FROM t0, t299").await, json!([[7, 7]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spill_directory_is_emptied_of_workers_remains_only() {
    let (_directory, options) = options();
    let old = options.spill_dir.join("worker-old");
    let foreign = options.spill_dir.join("notes");
    fs::create_dir_all(&old).unwrap();
    fs::create_dir_all(&foreign).unwrap();
    let lake = Arc::new(FakeLake::default());
    let engine = Engine::start(options, lake.store.clone(), lake, Arc::new(())).await.unwrap();
    assert!(!old.exists() && foreign.exists());
    drop(engine);
}
