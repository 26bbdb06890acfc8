//! Two catalogs over one store, driven by random operations, against a plain map.
//!
//! Neither is told to refresh before it answers, so each of them works from memory that the other
//! made stale; still every change must come out as if there were one catalog.

use std::{collections::BTreeMap, sync::Arc};

use crate::support::{Flaky, ids, name, open, request};
use lakehouse_catalog::{Catalog, Error};
use lakehouse_types::catalog::Mode;
use proptest::prelude::*;

/// Some of them are the same name to SQL.
const NAMES: [&str; 6] = ["a", "A", "straße", "STRASSE", "O'Brien's data", "日本語"];
const TYPES: [&str; 2] = ["BIGINT", "VARCHAR"];
const IDS: [&str; 4] = ["w", "x", "y", "z"];

#[derive(Debug, Clone)]
enum Op {
    Register { at: usize, name: usize, sql_type: usize, ids: Vec<&'static str>, mode: Mode },
    Delete { at: usize, name: usize },
    Refresh { at: usize },
    Restart { at: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let at = 0..2_usize;
    let mode = prop_oneof![Just(Mode::Replace), Just(Mode::Append)];
    let ids = prop::sample::subsequence(IDS.to_vec(), 1..=IDS.len());
    // The second type is rare, else nearly everything would be drift.
    let sql_type = prop_oneof![5 => Just(0_usize), 1 => Just(1_usize)];
    prop_oneof![
        8 => (at.clone(), 0..NAMES.len(), sql_type, ids, mode)
            .prop_map(|(at, name, sql_type, ids, mode)| Op::Register { at, name, sql_type, ids, mode }),
        3 => (at.clone(), 0..NAMES.len()).prop_map(|(at, name)| Op::Delete { at, name }),
        1 => at.clone().prop_map(|at| Op::Refresh { at }),
        1 => at.prop_map(|at| Op::Restart { at }),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Dataset {
    name: &'static str,
    sql_type: &'static str,
    ids: Vec<&'static str>,
}

/// What there is, by folded name, with the last version of each name.
#[derive(Debug, Default)]
struct Model(BTreeMap<String, (u64, Option<Dataset>)>);

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Changed(u64),
    Existing(u64),
    CaseConflict,
    Drift,
    NotFound,
}

impl Model {
    fn register(&mut self, offered: Dataset, mode: Mode) -> Outcome {
        let (version, current) = self.0.entry(name(offered.name).folded()).or_default();
        if let Some(current) = current {
            if current.name != offered.name {
                return Outcome::CaseConflict;
            }
            if current.sql_type != offered.sql_type {
                return Outcome::Drift;
            }
            let mut union = current.ids.clone();
            union.extend(offered.ids.iter().filter(|id| !current.ids.contains(id)));
            let mut sorted = current.ids.clone();
            sorted.sort_unstable();
            let same = match mode {
                Mode::Replace => sorted == offered.ids,
                Mode::Append => union.len() == current.ids.len(),
            };
            if same {
                return Outcome::Existing(*version);
            }
            current.ids = if mode == Mode::Replace { offered.ids } else { union };
        } else {
            *current = Some(offered);
        }
        *version += 1;
        Outcome::Changed(*version)
    }

    fn delete(&mut self, dataset: &str) -> Outcome {
        match self.0.get_mut(&name(dataset).folded()) {
            Some((version, current)) if current.is_some() => {
                *current = None;
                *version += 1;
                Outcome::Changed(*version)
            }
            _ => Outcome::NotFound,
        }
    }

    fn datasets(&self) -> Vec<(Dataset, u64)> {
        let present = self.0.values().filter_map(|(version, current)| Some((current.clone()?, *version)));
        let mut present: Vec<_> = present.collect();
        present.sort_by_key(|(dataset, _)| dataset.name);
        present
    }
}

/// Everything that `catalog` shows is what the model has.
fn compare(catalog: &Catalog, model: &Model) {
    let snapshot = catalog.snapshot().unwrap();
    let expected = model.datasets();
    let shown: Vec<&str> = snapshot.datasets.iter().map(|manifest| manifest.name.as_str()).collect();
    assert_eq!(shown, expected.iter().map(|(dataset, _)| dataset.name).collect::<Vec<_>>());
    for (manifest, (dataset, version)) in snapshot.datasets.iter().zip(&expected) {
        assert_eq!(manifest.version, *version, "{}", dataset.name);
        assert_eq!(manifest.schema_fingerprint, dataset.sql_type);
        let shown: Vec<&str> = manifest.objects.iter().map(|object| object.fingerprint.as_str()).collect();
        assert_eq!(shown, dataset.ids);
        assert_eq!((manifest.rows, manifest.bytes), (10 * shown.len() as u64, 100 * shown.len() as u64));
        assert_eq!(ids(&catalog.manifest(&name(dataset.name)).unwrap()).len(), shown.len());
    }
}

async fn run(ops: Vec<Op>) {
    let store = Flaky::new();
    let mut catalogs = [open(&store).await, open(&store).await];
    let mut model = Model::default();
    for op in ops {
        match op {
            Op::Register { at, name, sql_type, ids, mode } => {
                let offered = Dataset { name: NAMES[name], sql_type: TYPES[sql_type], ids };
                let request = request(offered.name, offered.sql_type, mode, &offered.ids);
                let expected = model.register(offered, mode);
                let got = match catalogs[at].register(request).await {
                    Ok(answer) if answer.existing => Outcome::Existing(answer.manifest.version),
                    Ok(answer) => Outcome::Changed(answer.manifest.version),
                    Err(Error::CaseConflict { .. }) => Outcome::CaseConflict,
                    Err(Error::Drift(_)) => Outcome::Drift,
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(got, expected);
            }
            Op::Delete { at, name: index } => {
                let expected = model.delete(NAMES[index]);
                match catalogs[at].delete(&name(NAMES[index])).await {
                    Ok(()) => assert!(matches!(expected, Outcome::Changed(_)), "deleted what was not there"),
                    Err(Error::NotFound(_)) => assert_eq!(expected, Outcome::NotFound),
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Refresh { at } => {
                let before = catalogs[at].snapshot().unwrap();
                let changed = catalogs[at].refresh().await.unwrap();
                let after = catalogs[at].snapshot().unwrap();
                assert_eq!(changed, before.tag != after.tag);
                compare(&catalogs[at], &model);
            }
            Op::Restart { at } => {
                catalogs[at] = open(&store).await;
                compare(&catalogs[at], &model);
            }
        }
    }
    for catalog in &catalogs {
        catalog.refresh().await.unwrap();
        compare(catalog, &model);
        assert!(!catalog.refresh().await.unwrap(), "a second refresh finds nothing");
    }
    let names = model.0.values().filter(|(version, _)| *version > 0).count();
    let kept = store.keys("_catalog/").await.len();
    // Three versions a name, and what the last change of each has not pruned yet.
    assert!(kept <= 4 * names, "{kept} records for {names} names");
    drop(Arc::clone(&store));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn two_catalogs_are_as_one(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(ops));
    }
}
