//! Statuses, formats, and what happens when one side goes away.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, ipc::reader::StreamReader};
use lakehouse_query::Confinement;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::service::{Service, workers};

const SLOW: &str = "SELECT count(*) FROM range(100000000000) WHERE hash(range) % 7 = 3";

#[tokio::test(flavor = "multi_thread")]
async fn the_default_answer_is_one_object() {
    let service = Service::start().await;
    service.lake.put("O'Brien's data", 10, 3).await;
    let answer = service.sql("SELECT id, name, value FROM \"O'Brien's data\" ORDER BY id").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert_eq!(
        answer.json(),
        json!({
            "columns": [
                {"name": "id", "type": "BIGINT"},
                {"name": "name", "type": "VARCHAR"},
                {"name": "value", "type": "DOUBLE"},
            ],
            "rows": [[10, "n10", 5.0], [11, "n11", 5.5], [12, "n12", 6.0]],
            "row_count": 3,
        })
    );
    assert_eq!(service.rows("SHOW TABLES").await, json!([["O'Brien's data"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_formats_come_by_accept() {
    let service = Service::start().await;
    service.lake.put("t", 0, 50_000).await;
    let sql = "SELECT id, name FROM t ORDER BY id";
    let lines = service.sql_as(sql, Some("application/x-ndjson")).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let text = lines.text();
    assert_eq!(text.lines().count(), 50_000);
    assert_eq!(text.lines().last(), Some("{\"id\":49999,\"name\":\"n49999\"}"));
    let csv = service.sql_as(sql, Some("text/csv")).await;
    assert!(csv.header("content-type").starts_with("text/csv; charset=utf-8"));
    assert!(csv.text().starts_with("id,name\r\n0,n0\r\n1,n1\r\n"), "{}", &csv.text()[..40]);
    let arrow = service.sql_as(sql, Some("application/vnd.apache.arrow.stream")).await;
    assert_eq!(arrow.header("content-type"), "application/vnd.apache.arrow.stream");
    let batches = StreamReader::try_new(&*arrow.body, None).unwrap().map(Result::unwrap);
    assert_eq!(batches.map(|batch: RecordBatch| batch.num_rows()).sum::<usize>(), 50_000);
    for answer in [&lines, &csv, &arrow] {
        assert_eq!((answer.status, answer.header("vary")), (200, "accept"));
    }
    let refused = service.sql_as(sql, Some("image/png")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.detail().contains("text/csv"), "{}", refused.detail());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_request_has_its_status() {
    let service = Service::start().await;
    service.lake.put("weather", 0, 1).await;
    for (sql, status, detail) in [
        ("", 400, "the statement is empty"),
        ("   \n", 400, "the statement is empty"),
        ("-- nothing", 400, "the statement is empty"),
        ("SELEC 1", 400, "Parser Error: syntax error at or near \"SELEC\""),
        ("SELECT nosuch FROM weather", 400, "Binder Error: Referenced column \"nosuch\" not found"),
        ("SELECT 'x'::INTEGER", 400, "Conversion Error"),
        ("SELECT * FROM wether", 400, "there is no dataset `wether`; did you mean `weather`?"),
        ("SELECT 1; SELECT 2", 400, "one statement at a time"),
        ("DROP TABLE weather", 400, "only one statement that reads"),
    ] {
        let answer = service.sql(sql).await;
        assert_eq!(answer.status, status, "{sql}: {}", answer.text());
        assert!(answer.detail().starts_with(detail), "{sql}: {}", answer.detail());
    }
    let long = format!("SELECT '{}'", "x".repeat(64 << 10));
    for (body, content_type, status) in [
        (json!({ "sql": long }).to_string(), "application/json", 413),
        ("{\"sql\": \"SELECT 1\"}".to_owned(), "text/plain", 415),
        ("{\"sql\": \"SELECT 1\", \"limit\": 1}".to_owned(), "application/json", 400),
        ("{\"sql\": 1}".to_owned(), "application/json", 400),
        ("{}".to_owned(), "application/json", 400),
        ("{\"sql\": ".to_owned(), "application/json", 400),
    ] {
        let answer = service.post(body, content_type, None).await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
        answer.detail();
    }
    // The largest statement that fits does.
    let fits = format!("SELECT length('{}')", "x".repeat((64 << 10) - 40));
    assert_eq!(service.rows(&fits).await, json!([[(64 << 10) - 40]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn time_and_places_are_limited() {
    let service = Service::start_with(|options| {
        options.timeout = Duration::from_millis(4_500);
        (options.max_concurrent, options.max_queued) = (1, 0);
    })
    .await;
    let (slow, refused) = tokio::join!(service.sql(SLOW), async {
        while service.engine.stats().running == 0 {
            tokio::task::yield_now().await;
        }
        service.sql("SELECT 1").await
    });
    assert_eq!(slow.status, 504, "{}", slow.text());
    assert_eq!(slow.detail(), "the query was stopped after 4 s");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"), "{}", refused.text());
    assert_eq!(service.rows("SELECT 1").await, json!([[1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_over_the_limit_is_413_or_breaks_off() {
    let service = Service::start_with(|options| options.max_result_bytes = 2_000_000).await;
    let sql = |rows: usize| format!("SELECT range, repeat('x', 100) FROM range({rows})");
    assert_eq!(service.sql(&sql(10_000)).await.status, 200);
    // In the first bytes already: one row alone is over it.
    let early = service.sql("SELECT repeat('x', 3000000)").await;
    assert_eq!(early.status, 413, "{}", early.text());
    assert_eq!(early.detail(), "the result is larger than 2000000 bytes: select less, or aggregate");
    // The answer has begun: the one thing left is to break it off, and the caller notices.
    let late = service.post(json!({"sql": sql(100_000)}).to_string(), "application/json", None).await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(service.rows("SELECT 1").await, json!([[1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_stops_its_query() {
    let service = Service::start_with(|options| (options.max_concurrent, options.max_queued) = (1, 0)).await;
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    for (sql, read_first) in [(SLOW, false), ("FROM range(10000000000)", true)] {
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let body = json!({ "sql": sql }).to_string();
        let head = format!(
            "POST /sql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        while service.engine.stats().running == 0 {
            tokio::task::yield_now().await;
        }
        if read_first {
            socket.read_exact(&mut [0; 100_000]).await.unwrap();
        }
        drop(socket);
        service.until_idle().await;
        assert_eq!(service.rows("SELECT 1").await, json!([[1]]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_all_get_their_answer() {
    let service = Arc::new(Service::start_with(|options| options.max_queued = 64).await);
    service.lake.put("t", 0, 10_000).await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..32 {
        let service = Arc::clone(&service);
        callers.spawn(async move {
            for id in (caller * 7..).step_by(997).take(5) {
                let sql = format!("SELECT name FROM t WHERE id = {id}");
                assert_eq!(service.rows(&sql).await, json!([[format!("n{id}")]]));
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let stats = service.engine.stats();
    assert_eq!((stats.running, stats.queued, stats.cache.misses), (0, 0, 1));
}

/// Only where the kernel can: elsewhere the line says so.
#[tokio::test(flavor = "multi_thread")]
async fn workers_are_locked_in() {
    let service = Service::start().await;
    match service.engine.confinement() {
        Confinement::Full => {}
        other => eprintln!("SKIPPED: this kernel locks workers in no further than {other:?}"),
    }
    let worker = workers(&service.cache_directory()).pop().expect("a worker");
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    if service.engine.confinement() == Confinement::Full {
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max data size")).unwrap();
    assert!(!line.contains("unlimited"), "{line}");
    let environment = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("HOME="));
}
