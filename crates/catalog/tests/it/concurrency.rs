//! Many tasks over two catalogs and one store: nothing may be lost.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use crate::support::{Flaky, append, ids, name, open, replace, until};
use lakehouse_catalog::{Catalog, Error};
use lakehouse_types::{ErrorKind, ServiceError as _, catalog::RegisterResponse};

/// Registers until it is acknowledged; tells how often it was not.
async fn insist(catalog: &Catalog, dataset: &str, id: &str) -> (RegisterResponse, usize) {
    for failures in 0.. {
        match catalog.register(append(dataset, id)).await {
            Ok(answer) => {
                assert!(ids(&answer.manifest).contains(id));
                return (answer, failures);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
    unreachable!("it never gives up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_from_everywhere_are_all_there_in_as_many_versions() {
    const TASKS: usize = 16;
    const EACH: usize = 12;
    let store = Flaky::new();
    let catalogs = [open(&store).await, open(&store).await];
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let catalog = catalogs[task % 2].clone();
            tokio::spawn(async move {
                let (mut versions, mut doubtful) = (Vec::new(), 0);
                for round in 0..EACH {
                    let dataset = ["shared", "Other"][round % 2];
                    let (answer, failures) = insist(&catalog, dataset, &format!("{task}-{round}")).await;
                    if failures == 0 {
                        assert!(!answer.existing);
                        versions.push((dataset, answer.manifest.version));
                    } else {
                        doubtful += 1;
                    }
                }
                (versions, doubtful)
            })
        })
        .collect();
    let mut versions = BTreeSet::new();
    let mut doubtful = 0;
    for task in tasks {
        let (own, own_doubtful) = task.await.unwrap();
        doubtful += own_doubtful;
        for dataset in ["shared", "Other"] {
            let of: Vec<u64> = own.iter().filter(|(name, _)| *name == dataset).map(|(_, version)| *version).collect();
            assert!(of.is_sorted_by(|a, b| a < b), "what a task sees never goes back: {of:?}");
        }
        versions.extend(own);
    }
    // On a busy machine one catalog can stand still while the other makes more changes than a record
    // names ancestors; then the caller is told so, and the repetition finds its file there.
    assert_eq!(versions.len() + doubtful, TASKS * EACH, "no version was given out twice");
    for catalog in [&catalogs[0], &catalogs[1], &open(&store).await] {
        catalog.refresh().await.unwrap();
        for (dataset, parity) in [("shared", 0), ("Other", 1)] {
            let manifest = catalog.manifest(&name(dataset)).unwrap();
            let expected: BTreeSet<String> = (0..TASKS)
                .flat_map(|task| {
                    (0..EACH).filter(|round| round % 2 == parity).map(move |round| format!("{task}-{round}"))
                })
                .collect();
            assert_eq!(ids(&manifest), expected);
            assert_eq!(manifest.version, (TASKS * EACH / 2) as u64);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_that_differ_by_case_have_one_winner() {
    for round in 0..20 {
        let store = Flaky::new();
        let catalogs = [open(&store).await, open(&store).await];
        let tasks: Vec<_> = ["weather", "WEATHER", "Weather", "weatheR"]
            .into_iter()
            .enumerate()
            .map(|(i, dataset)| {
                let catalog = catalogs[i % 2].clone();
                tokio::spawn(async move { catalog.register(replace(dataset, "x")).await.map_err(|error| error.kind()) })
            })
            .collect();
        let mut won = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(answer) => won.push(answer.manifest.name),
                Err(kind) => assert_eq!(kind, ErrorKind::Conflict),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(open(&store).await.snapshot().unwrap().datasets.len(), 1);
    }
}

/// Lost answers, lost requests and repeated ones, at each kind of call, a third of the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_over_a_bad_store_is_there() {
    for seed in 0..6 {
        let store = Flaky::new();
        let catalogs = [open(&store).await, open(&store).await];
        store.misbehave(seed, 0.15);
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let catalog = catalogs[task % 2].clone();
                tokio::spawn(async move {
                    for round in 0..10 {
                        insist(&catalog, "d", &format!("{task}-{round}")).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        store.behave();
        assert!(store.faulted.load(Ordering::Relaxed) > 0, "seed {seed} made no fault");
        let manifest = open(&store).await.manifest(&name("d")).unwrap();
        assert_eq!(manifest.objects.len(), 80, "seed {seed}");
        assert!(manifest.version >= 80);
    }
}

/// A writer that stood still while the version it wants to write came and was pruned.
#[tokio::test]
async fn a_writer_that_comes_back_from_long_ago_loses_nothing() {
    let store = Flaky::new();
    let (slow, quick) = (open(&store).await, open(&store).await);
    slow.register(append("d", "first")).await.unwrap();
    let version_2 = "_catalog/d/00000000000000000002.json";
    let gate = store.gate(version_2);
    let late = tokio::spawn({
        let slow = slow.clone();
        async move { slow.register(append("d", "late")).await }
    });
    until("the slow one waits", async || store.waiting.load(Ordering::SeqCst) == 1).await;
    for round in 0..10 {
        quick.register(append("d", &format!("quick-{round}"))).await.unwrap();
    }
    until("version 2 is pruned", async || !store.keys("_catalog/d/").await.contains(&version_2.to_owned())).await;
    gate.add_permits(1);
    let answer = late.await.unwrap().unwrap();
    assert_eq!(answer.manifest.version, 12, "its first attempt, at version 2, did not count");
    assert_eq!(ids(&answer.manifest).len(), 12);
    assert_eq!(slow.stats().conflicts, 1);
    until("nothing is left of it", async || !store.keys("_catalog/d/").await.contains(&version_2.to_owned())).await;
    assert_eq!(ids(&open(&store).await.manifest(&name("d")).unwrap()).len(), 12);
}

/// The client hangs up while the store takes its time.
#[tokio::test]
async fn a_change_goes_on_when_its_caller_goes_away() {
    let store = Flaky::new();
    let catalog = open(&store).await;
    let gate = store.gate("_catalog/d/00000000000000000001.json");
    let call = tokio::spawn({
        let catalog = catalog.clone();
        async move { catalog.register(append("d", "x")).await }
    });
    until("the write is under way", async || store.waiting.load(Ordering::SeqCst) == 1).await;
    call.abort();
    assert!(matches!(catalog.manifest(&name("d")), Err(Error::NotFound(_))), "not before the store has it");
    gate.add_permits(1);
    until("the write shows", async || catalog.manifest(&name("d")).is_ok()).await;
}
