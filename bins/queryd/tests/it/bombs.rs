//! Statements that ask for more than there is: each must meet a limit, in time, without taking
//! the service or the machine's memory with it.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use crate::service::{Service, kill_workers, workers};

/// What one query may have, and what its process may have beside it for each of two places, which one
/// that needs more takes both; and the library's own pages.
const SHARE: u64 = 128 << 20;
const LIMIT: u64 = 2 * (SHARE + SHARE / 4 + (256 << 20)) + (128 << 20);

/// The harmless statements have no more, on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long after its time a statement may be answered: DuckDB is asked to stop, then killed.
const LATE: Duration = Duration::from_secs(10);

const BOMBS: &[&str] = &[
    // Rows without end.
    "SELECT count(*) FROM range(1000000000000000)",
    "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b",
    "SELECT max(hash(a.range, b.range, c.range)) FROM range(100000) a, range(100000) b, range(100000) c",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t, range(1000)) SELECT count(*) FROM t",
    "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
    "SELECT count(*) FROM victim a, victim b, victim c, victim d, victim e, victim f, victim g",
    // Memory that DuckDB counts.
    "SELECT len(list(range)) FROM range(3000000000)",
    "SELECT length(string_agg(range::VARCHAR, ',')) FROM range(3000000000)",
    "SELECT count(DISTINCT hash(range)) FROM range(5000000000)",
    "SELECT range, hash(range) h FROM range(5000000000) ORDER BY h DESC LIMIT 1 OFFSET 4000000000",
    "SELECT histogram(range) FROM range(3000000000)",
    // Memory that it does not count, in one call that no interrupt reaches.
    "SELECT length(repeat('x', 2000000000))",
    "SELECT length(repeat('x', 200000000) || repeat('y', 200000000))",
    "SELECT list_sum(range(500000000))",
    "SELECT unnest(range(1000000000))",
    "SELECT list_transform(range(100000), lambda x: range(100000))",
    "SELECT length(lpad('x', 2000000000, 'y')), length(rpad('x', 2000000000, 'y'))",
    "SELECT length(replace(repeat('x', 20000), 'x', repeat('y', 60000)))",
    "SELECT length(printf('%2000000000d', 1)), length(format('{:2000000000}', 1))",
    "SELECT length(bitstring('0101', 2000000000)::VARCHAR)",
    "SELECT len(list_resize([1], 1000000000))",
    "SELECT reservoir_quantile(range, 0.5, 2147483647) FROM range(3)",
    "SELECT NULL::INTEGER[100000][100000][100000]",
    "SELECT length(array_to_string(range(100000000), 'xxxxxxxxxx'))",
    "SELECT repeat(range::VARCHAR, 100000000) FROM range(100)",
    "SELECT regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000), 'g')",
    "SELECT list_reduce(range(40), lambda a, b: a + b), list_reduce([repeat('x', 1000) FOR i IN range(60)], lambda a, b: a || a || b)",
    // Answers without end.
    "SELECT range, repeat('x', 1000) FROM range(1000000000)",
    "SELECT repeat('x', 1000000), range FROM range(1000000)",
];

/// What must pass, and quickly: they only look dangerous.
const DUDS: &[&str] = &[
    "SELECT regexp_matches(repeat('a', 100000), '(a*)*b')",
    "SELECT regexp_matches(repeat('a', 100000) || 'c', '(a|a|a)*b')",
    "SELECT length(repeat('x', 1000000))",
    "SELECT count(*) FROM range(1000000)",
];

/// Watches the largest resident size of every child.
struct Watch {
    peaks: Arc<Mutex<HashMap<u32, u64>>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    fn start(service: &Service) -> Self {
        let cache = service.cache_directory();
        let (peaks, stop) = (Arc::<Mutex<HashMap<u32, u64>>>::default(), Arc::<AtomicBool>::default());
        let (into, until) = (Arc::clone(&peaks), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for pid in workers(&cache) {
                    // The kernel keeps the peak itself, so looking now and then misses little.
                    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
                    if let Some(kilobytes) = kilobytes {
                        into.lock().unwrap().insert(pid, kilobytes << 10);
                    }
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
        });
        Self { peaks, stop }
    }

    fn peak(&self) -> u64 {
        self.peaks.lock().unwrap().values().copied().max().unwrap_or(0)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_meet_a_limit_and_the_service_lives_on() {
    let service = Service::start_with(|options| {
        (options.max_concurrent, options.max_queued) = (2, 64);
        options.memory_bytes = 2 * SHARE;
        options.spill_bytes = 64 << 20;
        options.timeout = TIMEOUT;
        options.max_result_bytes = 8 << 20;
    })
    .await;
    service.lake.put("victim", 0, 10_000).await;
    let watch = Watch::start(&service);
    let mut outcomes = Vec::new();
    for bomb in BOMBS {
        let started = Instant::now();
        let answer = service.post(json!({ "sql": bomb }).to_string(), "application/json", None).await;
        let took = started.elapsed();
        let outcome = match &answer {
            Ok(answer) => answer.status.to_string(),
            // An endless answer has begun, and was broken off.
            Err(_) => "broken off".to_owned(),
        };
        assert!(["413", "504", "broken off"].contains(&outcome.as_str()), "{bomb}: {outcome} {answer:?}");
        assert!(took < TIMEOUT + LATE, "{bomb} took {took:?}");
        // The next caller notices nothing.
        let after = Instant::now();
        assert_eq!(service.rows("SELECT count(*), sum(id) FROM victim").await, json!([[10_000, 49_995_000]]), "{bomb}");
        outcomes.push(format!("{outcome:>10} {took:>8.1?} then {:>7.1?}  {bomb}", after.elapsed()));
    }
    for dud in DUDS {
        let started = Instant::now();
        assert_eq!(service.sql(dud).await.status, 200, "{dud}");
        outcomes.push(format!("{:>10} {:>8.1?}  {dud}", 200, started.elapsed()));
    }
    let peak = watch.peak();
    println!("{}\npeak {} MB", outcomes.join("\n"), peak >> 20);
    assert!(peak > 0 && peak < LIMIT, "a worker had {} MB resident", peak >> 20);
    assert_eq!(service.engine.stats().running, 0);
}

/// A bomb takes its own worker with it, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_hurts_no_query_beside_it() {
    let service = Service::start_with(|options| {
        (options.max_concurrent, options.max_queued) = (2, 64);
        options.memory_bytes = 2 * SHARE;
        options.timeout = TIMEOUT;
    })
    .await;
    service.lake.put("victim", 0, 10_000).await;
    let bombs = async {
        for bomb in ["SELECT length(lpad('x', 2000000000, 'y'))", "SELECT list_sum(range(500000000))"] {
            let status = service.sql(bomb).await.status;
            assert!([413, 504].contains(&status), "{bomb}: {status}");
        }
    };
    let others = async {
        for _ in 0..200 {
            assert_eq!(service.rows("SELECT count(*) FROM victim").await, json!([[10_000]]));
        }
    };
    tokio::join!(bombs, others);
}

/// Killed from outside while it has nothing to do, a worker is replaced before anybody notices,
/// however far it has got with dying.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_idle_is_replaced() {
    let service = Service::start().await;
    for round in 0..10 {
        assert_eq!(service.rows(&format!("SELECT {round}")).await, json!([[round]]));
        assert!(kill_workers(&service) > 0);
        // Known statements and new ones differ in what a worker is asked first.
        assert_eq!(service.rows(&format!("SELECT {round}")).await, json!([[round]]));
        kill_workers(&service);
        assert_eq!(service.rows(&format!("SELECT {round}, 'new'")).await, json!([[round, "new"]]));
    }
}

/// Killed from outside in the middle of a statement, a worker is replaced once, and then the
/// caller is told to come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_workers_are_killed_is_503() {
    let service = Service::start().await;
    let endless = service.sql("SELECT count(*) FROM range(1000000000000000)");
    tokio::pin!(endless);
    let answer = loop {
        tokio::select! {
            answer = &mut endless => break answer,
            () = tokio::task::yield_now() => { kill_workers(&service); }
        }
    };
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(service.rows("SELECT 2").await, json!([[2]]));
}
