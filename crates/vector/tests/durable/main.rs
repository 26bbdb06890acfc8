//! A registry against a plain model: random calls, a store that fails, processes that are killed.
//!
//! Every run prints its seed. `LAKEHOUSE_SEED=<seed>` plays it again, `LAKEHOUSE_OPERATIONS=<n>`
//! sets how long; `cargo test -p lakehouse-vector --test durable -- --ignored` is the long run.
#![expect(clippy::expect_used, reason = "an expectation that fails is a test that fails")]

mod faults;
mod merge;
mod model;
mod old_files;
mod scenarios;

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use faults::{FaultyStore, Random};
use lakehouse_objstore::ObjectStore;
use lakehouse_types::{
    ErrorKind, Name, ServiceError as _,
    vector::{AddItem, AddRequest, CreateIndexRequest, DeleteRequest, Distance, Filter, MergeRequest, SearchRequest},
};
use lakehouse_vector::{Error, Options, Registry, Tuning};
use model::{Data, Expected, Stored, actual, distance, merged};
use serde_json::{json, value::RawValue};

const DIMENSION: usize = 8;
/// Few names and ids, so that calls meet.
const NAMES: [&str; 3] = ["alpha", "Bêta & co", "gamma.lhv1"];
const IDS: u64 = 300;

pub(crate) fn options() -> Options {
    Options {
        // A graph from very few items on, mended and compacted often, so that all of its life is exercised.
        tuning: Tuning { graph_from: 40, mend_from: 4, compact_from: 30 },
        threads: 1,
        // A save every few dozen entries.
        save_floor: 4 << 20,
        save_idle: Duration::from_secs(3600),
        ..Options::default()
    }
}

/// One life of the process: its runtime dies with it, tasks and all.
struct Process {
    runtime: tokio::runtime::Runtime,
    registry: Arc<Registry>,
}

impl Process {
    fn start(store: &Arc<FaultyStore>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let store: Arc<dyn ObjectStore> = Arc::clone(store) as _;
        let registry = Arc::new(runtime.block_on(Registry::open(Some(store), options())).expect("opens"));
        assert!(registry.quarantined().is_empty(), "{:?}", registry.quarantined());
        Self { runtime, registry }
    }

    fn kill(self) {
        let Self { runtime, registry } = self;
        runtime.shutdown_background();
        drop(registry);
    }
}

struct Run {
    store: Arc<FaultyStore>,
    process: Option<Process>,
    world: BTreeMap<&'static str, Expected>,
    random: Random,
    ids: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
}

fn request(name: &str, distance: Distance) -> CreateIndexRequest {
    CreateIndexRequest {
        name: Name::new(name).expect("a name"),
        dimension: DIMENSION,
        distance,
        m: Some(6),
        ef_construction: Some(40),
        ef_search: None,
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let store = Arc::new(FaultyStore::new(seed ^ 0x5eed));
        Self {
            process: Some(Process::start(&store)),
            store,
            world: NAMES.iter().map(|name| (*name, Expected::nothing())).collect(),
            random: Random::new(seed),
            ids: (0..IDS).map(|n| format!("id-{n}")).collect(),
            counts: BTreeMap::new(),
        }
    }

    fn registry(&self) -> &Registry {
        &self.process.as_ref().expect("a process").registry
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.process.as_ref().expect("a process").runtime.block_on(call)
    }

    fn name(&self) -> &'static str {
        NAMES[self.random.below(NAMES.len() as u64) as usize]
    }

    fn vector(&self) -> Vec<f32> {
        // Small whole numbers make ties and duplicates; never zero.
        (0..DIMENSION).map(|place| self.random.below(9) as f32 - 4.0 + if place == 0 { 0.5 } else { 0.0 }).collect()
    }

    fn some_ids(&self) -> Vec<String> {
        let count = 1 + self.random.below(12);
        let mut ids: Vec<String> = (0..count).map(|_| self.ids[self.random.below(IDS) as usize].clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    fn items(&self) -> Vec<(String, Stored)> {
        let metadata = || match self.random.below(4) {
            0 => None,
            1 => Some("{}".to_owned()),
            2 => Some(["[1,{}]", "\"text\"", "1.50", "true", "false"][self.random.below(5) as usize].to_owned()),
            n => Some(json!({"kind": n, "n": self.random.below(10)}).to_string()),
        };
        self.some_ids().into_iter().map(|id| (id, (self.vector(), metadata()))).collect()
    }

    fn step(&mut self) {
        let (what, call): (_, fn(&mut Self)) = match self.random.below(1_000) {
            0..20 => ("create", Self::create),
            20..24 => ("drop", Self::drop_index),
            24..500 => ("add", Self::add),
            500..640 => ("delete", Self::delete),
            640..940 => ("search", Self::search),
            940..960 => ("merge", Self::merge),
            960..985 => ("faults", Self::change_faults),
            985..992 => ("save", Self::save),
            992..996 => ("restart", Self::restart),
            996..998 => ("kill in a merge", Self::kill_in_a_merge),
            _ => ("kill", Self::kill_in_the_middle),
        };
        *self.counts.entry(what).or_default() += 1;
        call(self);
    }

    fn change_faults(&mut self) {
        let faults = if self.random.below(2) == 0 { 0 } else { 1 + self.random.below(80) as u32 };
        self.store.faults.store(faults, Ordering::Relaxed);
    }

    fn create(&mut self) {
        let name = self.name();
        let kind = [Distance::Cosine, Distance::L2, Distance::Dot][self.random.below(3) as usize];
        let result = self.wait(self.registry().create(&request(name, kind)));
        let fresh = Data { distance: kind, items: BTreeMap::new() };
        let expected = self.world.get_mut(name).expect("a known name");
        match result {
            Ok(_) => {
                assert_eq!(expected.now, None, "created twice");
                expected.becomes(Some(fresh));
            }
            Err(Error::Exists(_)) => assert!(expected.now.is_some()),
            Err(error) => {
                assert_unavailable(&error);
                if expected.now.is_none() {
                    expected.perhaps.push(Some(fresh));
                }
            }
        }
    }

    fn drop_index(&mut self) {
        let name = self.name();
        let result = self.wait(self.registry().drop_index(name));
        let expected = self.world.get_mut(name).expect("a known name");
        match result {
            Ok(()) => {
                assert!(expected.now.is_some());
                expected.becomes(None);
            }
            Err(Error::NoIndex(_)) => assert_eq!(expected.now, None),
            Err(error) => {
                assert_unavailable(&error);
                expected.perhaps.push(None);
            }
        }
    }

    /// What a call that changes an index did, or may have done.
    fn settle<T>(&mut self, name: &'static str, after: Option<Data>, result: Result<T, Error>, check: impl Fn(T)) {
        let expected = self.world.get_mut(name).expect("a known name");
        match result {
            Ok(answer) => {
                assert!(expected.now.is_some(), "a change of an index that is not there");
                check(answer);
                expected.becomes(after);
            }
            Err(Error::NoIndex(_)) => assert_eq!(expected.now, None),
            Err(error) => {
                assert_unavailable(&error);
                expected.perhaps.push(after);
            }
        }
    }

    fn add(&mut self) {
        let (name, items) = (self.name(), self.items());
        let mut after = self.world[name].now.clone();
        let counts = after.as_mut().map(|data| data.add(&items, true));
        let result = self.wait(self.registry().add(name, add_request(&items)));
        self.settle(name, after, result, |answer| {
            assert_eq!(Some((answer.added, answer.updated)), counts);
            assert!(answer.duplicates.is_empty());
        });
    }

    fn delete(&mut self) {
        let (name, ids) = (self.name(), self.some_ids());
        let mut after = self.world[name].now.clone();
        let deleted = after.as_mut().map_or(0, |data| data.delete(&ids));
        let count = ids.len() as u64;
        let result = self.wait(self.registry().delete(name, DeleteRequest { ids }));
        self.settle(name, after, result, |answer| {
            assert_eq!((answer.deleted, answer.missing), (deleted, count - deleted));
        });
    }

    fn search(&mut self) {
        let (name, vector) = (self.name(), self.vector());
        let kind = self.random.below(4);
        let filter: Option<Filter> =
            (kind > 1).then(|| serde_json::from_value(json!({"eq": {"kind": kind}})).expect("a filter"));
        let k = 1 + self.random.below(20) as usize;
        let search = SearchRequest {
            vector: Some(vector.clone()),
            text: None,
            k,
            ef: None,
            filter: filter.clone(),
            with_vectors: true,
            exact: false,
        };
        let result = self.wait(self.registry().search(name, search));
        let Some(data) = &self.world[name].now else {
            assert!(matches!(result, Err(Error::NoIndex(_))));
            return;
        };
        let found = result.expect("searching needs no store").results;
        let pattern = format!("\"kind\":{kind}");
        let matches =
            |stored: &Stored| filter.is_none() || stored.1.as_ref().is_some_and(|text| text.contains(&pattern));
        let matching = data.items.values().filter(|stored| matches(stored)).count();
        assert_eq!(found.len(), matching.min(k), "as many as there are");
        let mut last = f64::NEG_INFINITY;
        for hit in found {
            let stored = data.items.get(&hit.id).expect("a living item");
            assert!(matches(stored));
            assert_eq!(hit.vector.as_ref(), Some(&stored.0));
            assert_eq!(hit.metadata.map(|text| text.get().to_owned()), stored.1);
            assert!((hit.distance - distance(data.distance, &vector, &stored.0)).abs() < 1e-6);
            assert!(hit.distance >= last, "nearest first");
            last = hit.distance;
        }
    }

    fn merge(&mut self) {
        let (source, dest) = (self.name(), self.name());
        let clear = self.random.below(2) == 0;
        let request = MergeRequest { dest: Name::new(dest).expect("a name"), clear_source: clear };
        let result = self.wait(self.registry().merge(source, &request));
        let (Some(from), Some(to)) = (self.world[source].now.clone(), self.world[dest].now.clone()) else {
            assert!(matches!(result, Err(Error::NoIndex(_))));
            return;
        };
        if source == dest || from.distance != to.distance {
            assert!(matches!(result, Err(Error::Invalid(_))));
            return;
        }
        let (merged, cleared, counts) = merged(&from, &to, clear);
        match result {
            Ok(answer) => {
                assert_eq!(answer, counts);
                if from.items.is_empty() {
                    return;
                }
                self.world.get_mut(dest).expect("a known name").becomes(Some(merged));
                if clear && counts.cleared > 0 {
                    self.world.get_mut(source).expect("a known name").becomes(Some(cleared));
                }
            }
            Err(error) => {
                assert_unavailable(&error);
                // Refused at one of two points: nothing has left the source that the destination has not.
                let now = actual(self.registry(), dest, &self.ids);
                assert_eq!(actual(self.registry(), source, &self.ids), Some(from));
                if now == Some(merged.clone()) && merged != to {
                    self.world.get_mut(dest).expect("a known name").becomes(Some(merged));
                    self.world.get_mut(source).expect("a known name").perhaps.push(Some(cleared));
                } else {
                    assert_eq!(now, Some(to));
                    self.world.get_mut(dest).expect("a known name").perhaps.push(Some(merged));
                    self.world.get_mut(source).expect("a known name").perhaps.push(Some(cleared));
                }
            }
        }
    }

    /// Kills the process while it merges: no item may be lost, wherever it is then.
    fn kill_in_a_merge(&mut self) {
        let (source, dest) = (self.name(), self.name());
        let (Some(from), Some(to)) = (self.world[source].now.clone(), self.world[dest].now.clone()) else { return };
        if source == dest || from.distance != to.distance {
            return;
        }
        // Where a refused call of before is in doubt, the merge may have found what that one made of it.
        let [sources, dests] = [source, dest].map(|name| self.world[name].possible());
        let (merged, cleared, _) = merged(&from, &to, true);
        let registry = Arc::clone(&self.process.as_ref().expect("a process").registry);
        let request = MergeRequest { dest: Name::new(dest).expect("a name"), clear_source: true };
        self.yield_some(async move { drop(registry.merge(source, &request).await) });
        self.world.get_mut(dest).expect("a known name").perhaps.push(Some(merged));
        self.world.get_mut(source).expect("a known name").perhaps.push(Some(cleared));
        self.restart();
        let found = (&self.world[source].now, &self.world[dest].now);
        let explained = sources.iter().any(|left| {
            dests.iter().any(|to| model::stages_of_a_merge(&from, left, to).iter().any(|(s, d)| (s, d) == found))
        });
        assert!(
            explained,
            "after a merge of {source} into {dest} was killed, items are in neither:\n{}",
            differences(found.0.as_ref(), Some(&from)),
        );
    }

    /// Starts a call and lets it run for a while.
    fn yield_some(&self, call: impl Future<Output = ()> + Send + 'static) {
        let yields = self.random.below(12);
        self.wait(async move {
            tokio::spawn(call);
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
        });
    }

    fn save(&mut self) {
        self.wait(self.registry().save_all());
    }

    /// Kills the process while a call is under way, somewhere.
    fn kill_in_the_middle(&mut self) {
        let (name, items) = (self.name(), self.items());
        let registry = Arc::clone(&self.process.as_ref().expect("a process").registry);
        let call = add_request(&items);
        self.yield_some(async move { drop(registry.add(name, call).await) });
        if let Some(mut after) = self.world[name].now.clone() {
            after.add(&items, true);
            self.world.get_mut(name).expect("a known name").perhaps.push(Some(after));
        }
        self.restart();
    }

    /// Kills the process, starts another one, and compares all there is.
    fn restart(&mut self) {
        self.process.take().expect("a process").kill();
        let faults = self.store.faults.swap(0, Ordering::Relaxed);
        self.process = Some(Process::start(&self.store));
        for name in NAMES {
            let found = actual(self.registry(), name, &self.ids);
            let expected = self.world.get_mut(name).expect("a known name");
            assert!(
                found == expected.now || expected.perhaps.contains(&found),
                "index {name} is neither as it was nor as a call in doubt would have left it:\n{}",
                differences(found.as_ref(), expected.now.as_ref()),
            );
            expected.becomes(found);
        }
        self.store.faults.store(faults, Ordering::Relaxed);
    }
}

fn differences(found: Option<&Data>, expected: Option<&Data>) -> String {
    let (Some(found), Some(expected)) = (found, expected) else {
        return format!("found: {}, expected: {}", found.is_some(), expected.is_some());
    };
    let ids = found.items.keys().chain(expected.items.keys());
    let differing = ids.filter(|id| found.items.get(*id) != expected.items.get(*id));
    differing.map(|id| format!("{id}: {:?} instead of {:?}\n", found.items.get(id), expected.items.get(id))).collect()
}

fn add_request(items: &[(String, Stored)]) -> AddRequest {
    let item = |(id, (vector, metadata)): &(String, Stored)| AddItem {
        id: id.clone(),
        vector: vector.clone(),
        metadata: metadata.clone().map(|text| RawValue::from_string(text).expect("JSON")),
    };
    AddRequest { items: items.iter().map(item).collect() }
}

fn assert_unavailable(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.retry_after().is_some());
    assert!(!matches!(error, Error::Fenced(_) | Error::Quarantined { .. }), "{error}");
}

fn run(operations: u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("LAKEHOUSE_SEED").unwrap_or_else(rand_seed);
    let operations = number("LAKEHOUSE_OPERATIONS").unwrap_or(operations);
    println!("LAKEHOUSE_SEED={seed} LAKEHOUSE_OPERATIONS={operations}");
    let mut run = Run::new(seed);
    for _ in 0..operations {
        run.step();
    }
    run.store.faults.store(0, Ordering::Relaxed);
    run.restart();
    println!("{:?}", run.counts);
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

#[test]
fn a_registry_behaves_like_its_model() {
    run(6_000);
}

#[test]
#[ignore = "minutes: the long form of the test above"]
fn a_registry_behaves_like_its_model_for_long() {
    run(200_000);
}
