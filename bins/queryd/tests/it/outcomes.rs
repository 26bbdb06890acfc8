//! The same statement has the same outcome, whatever its worker ran before and whoever runs beside it.
//! The long form, with everything that ingest takes, is `tests/blackbox/sql_same_outcome.py`.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use crate::service::{Service, kill_workers};

/// A round takes one and a half seconds.
const ROUNDS: usize = 12;

/// How many statements run on the same workers before these are killed, and how many beside each other.
const FRESH_EVERY: usize = 7;
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_statement_has_the_same_outcome_on_warm_and_fresh_workers() {
    let service = as_shipped().await;
    service.lake.put_wide("wide", 2_000, 3, 2).await;
    service.lake.put_wide("counted", 100, 2_000, 1).await;
    let distinct: Vec<String> = (0..100).map(|index| format!("count(DISTINCT c{index})")).collect();
    let distinct = format!("SELECT {} FROM counted", distinct.join(", "));
    let statements = ["SELECT * FROM wide", &distinct, "SELECT 1"];
    let mut outcomes: BTreeMap<(usize, u16), usize> = BTreeMap::new();
    let turns = shuffled(statements.len());
    let (one_by_one, beside_each_other) = turns.split_at(turns.len() / 2);
    for (number, statement) in one_by_one.iter().enumerate() {
        if number % FRESH_EVERY == 0 {
            kill_workers(&service);
        }
        let status = service.sql(statements[*statement]).await.status;
        *outcomes.entry((*statement, status)).or_default() += 1;
    }
    let service = &service;
    let mut answers = futures::stream::iter(beside_each_other)
        .map(|statement| async move { (*statement, service.sql(statements[*statement]).await.status) })
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = answers.next().await {
        *outcomes.entry(outcome).or_default() += 1;
    }
    let expected: BTreeMap<_, _> = (0..statements.len()).map(|statement| ((statement, 200), ROUNDS)).collect();
    assert_eq!(outcomes, expected, "(statement, status): times");
}

/// With the memory and the places of `config/lakehouse.toml`.
async fn as_shipped() -> Service {
    Service::start_with(|options| {
        options.memory_bytes = 1 << 30;
        (options.max_concurrent, options.max_queued) = (4, 64);
    })
    .await
}

/// Every statement as often as there are rounds, in an order that is mixed and the same each time.
fn shuffled(statements: usize) -> Vec<usize> {
    let mut turns: Vec<_> = (0..ROUNDS).flat_map(|round| (0..statements).map(move |turn| (round, turn))).collect();
    turns.sort_by_cached_key(|turn| Sha256::digest(format!("{turn:?}")));
    turns.into_iter().map(|(_, statement)| statement).collect()
}
