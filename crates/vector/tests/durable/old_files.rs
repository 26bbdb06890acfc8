//! Files of the first system: their content against what its own library wrote down, and their names.
//!
//! `tests/fixtures/go` has frames that the real Go library wrote, and how they were made.

use std::{collections::BTreeMap, sync::Arc};

use lakehouse_types::vector::{DeleteRequest, Distance, SearchRequest};
use lakehouse_vector::{Error, Registry};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    add_request,
    faults::FaultyStore,
    request,
    scenarios::{keys, open, put_file},
};

const EXPECTED: &str = include_str!("../fixtures/go/expected.json");
const V1: &[u8] = include_bytes!("../fixtures/go/v1-24.lhv1");
const V2: &[u8] = include_bytes!("../fixtures/go/v2-24.lhv1");
const A_B: &[u8] = include_bytes!("../fixtures/go/v2-a_b.lhv1");
const EMPTY: &[u8] = include_bytes!("../fixtures/go/v2-empty.lhv1");
const ONE: &[u8] = include_bytes!("../fixtures/go/v2-one.lhv1");
const FILES: [(&str, &[u8]); 8] = [
    ("v1-24.lhv1", V1),
    ("v1-null-metadata.lhv1", include_bytes!("../fixtures/go/v1-null-metadata.lhv1")),
    ("v2-24.lhv1", V2),
    ("v2-a_b.lhv1", A_B),
    ("v2-empty.lhv1", EMPTY),
    ("v2-null-ids.lhv1", include_bytes!("../fixtures/go/v2-null-ids.lhv1")),
    ("v2-obrien.lhv1", include_bytes!("../fixtures/go/v2-obrien.lhv1")),
    ("v2-one.lhv1", ONE),
];

#[derive(Deserialize)]
struct Expected {
    params: ExpectedParams,
    ids: Vec<String>,
    vectors: BTreeMap<String, Vec<f32>>,
    metadata: BTreeMap<String, Box<RawValue>>,
}

#[derive(Deserialize)]
struct ExpectedParams {
    name: String,
    dimension: usize,
    m: usize,
}

fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_str(EXPECTED).expect("the fixture's own list")
}

/// JSON without white space, as Go writes it; the list is laid out for people.
fn compact(text: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let counts = |&c: &char| {
        let space = !quoted && c.is_ascii_whitespace();
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        !space
    };
    text.chars().filter(counts).collect()
}

/// An index has exactly what the file was written with: bit for bit, and the metadata's own text.
fn assert_content(registry: &Registry, name: &str, expected: &Expected) {
    let info = registry.info(name).expect(name);
    let params = (expected.params.dimension, expected.params.m, Distance::Cosine);
    assert_eq!((info.dimension, info.m, info.distance), params, "{name}");
    assert_eq!(info.count as usize, expected.ids.len(), "{name}");
    for id in &expected.ids {
        let item = registry.get(name, id).expect(id);
        let bits = |vector: &[f32]| vector.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&item.vector), bits(&expected.vectors[id]), "{name}: {id}");
        let metadata = item.metadata.map(|text| text.get().to_owned());
        assert_eq!(metadata, expected.metadata.get(id).map(|text| compact(text.get())), "{name}: {id}");
    }
    assert!(matches!(registry.get(name, "w-05"), Err(Error::NoItem { .. })), "it was deleted");
}

async fn assert_found(registry: &Registry, name: &str, expected: &Expected) {
    for id in &expected.ids {
        let search = SearchRequest {
            vector: Some(expected.vectors[id].clone()),
            k: 1,
            ..serde_json::from_str(r#"{"k": 1}"#).expect("a search")
        };
        let results = registry.search(name, search).await.expect("searches").results;
        assert_eq!(&results[0].id, id, "{name}");
    }
}

#[tokio::test]
async fn every_file_has_what_the_go_library_wrote() {
    let expected = expected();
    assert_eq!(expected.len(), FILES.len());
    let store = Arc::new(FaultyStore::new(50));
    // The key is the name, as the first system wrote it.
    for (file, bytes) in FILES {
        put_file(&store, &format!("_vectors/{}-{file}", expected[file].params.name), bytes).await;
    }
    let name = |file: &str| format!("{}-{}", expected[file].params.name, file.trim_end_matches(".lhv1"));
    for round in 0..3 {
        let registry = open(&store).await;
        assert!(registry.quarantined().is_empty(), "{:?}", registry.quarantined());
        assert_eq!(registry.list().indexes.len(), FILES.len());
        for (file, _) in FILES {
            assert_content(&registry, &name(file), &expected[file]);
            assert_found(&registry, &name(file), &expected[file]).await;
            // A change, so that the file is written anew, in this project's version.
            let item = [("changed".to_owned(), (vec![1.0; 8], Some("[null]".to_owned())))];
            registry.add(&name(file), add_request(&item)).await.expect("adds");
            if round == 1 {
                registry.save_all().await;
            }
            registry.delete(&name(file), DeleteRequest { ids: vec!["changed".into()] }).await.expect("deletes");
        }
    }
}

#[tokio::test]
async fn a_name_of_any_kind_loads_from_the_key_that_has_it_literally() {
    let names = ["a b", "O'Brien", "Zürich & co", "100%", "a+b", "a%2fb", "a%zz", "%41", "%ff", "a.lhv1", "…"];
    let store = Arc::new(FaultyStore::new(51));
    let expected = expected();
    for name in names {
        put_file(&store, &format!("_vectors/{name}.lhv1"), V2).await;
    }
    for round in 0..3 {
        let registry = open(&store).await;
        assert!(registry.quarantined().is_empty(), "{:?}", registry.quarantined());
        for name in names {
            assert_content(&registry, name, &expected["v2-24.lhv1"]);
            assert!(matches!(registry.create(&request(name, Distance::L2)).await, Err(Error::Exists(_))));
        }
        if round == 1 {
            registry.save_all().await;
        }
        // Written under the escaped name, and only then removed under the literal one.
        let escaped = names.map(|name| format!("_vectors/{}.lhv1", lakehouse_types::escape_segment(name)));
        let mut found = keys(&store).await;
        found.sort();
        let mut escaped = escaped.to_vec();
        escaped.sort();
        assert_eq!(found, escaped);
    }
    let registry = open(&store).await;
    for name in names {
        registry.drop_index(name).await.expect("drops");
    }
    assert_eq!(keys(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn names_that_are_escapes_of_each_other_stay_apart() {
    let expected = expected();
    let files = [("a b", A_B, "v2-a_b.lhv1"), ("a%20b", V1, "v1-24.lhv1"), ("a%2520b", ONE, "v2-one.lhv1")];
    for mask in 1..8_u32 {
        let some: Vec<_> = (0..).zip(files).filter(|(n, _)| mask >> n & 1 == 1).map(|(_, file)| file).collect();
        let store = Arc::new(FaultyStore::new(52));
        for (name, bytes, _) in &some {
            put_file(&store, &format!("_vectors/{name}.lhv1"), bytes).await;
        }
        for _ in 0..2 {
            let registry = open(&store).await;
            let mut names: Vec<&str> = some.iter().map(|(name, ..)| *name).collect();
            names.sort_unstable();
            let list = registry.list();
            assert_eq!(list.indexes.iter().map(|info| info.name.as_str()).collect::<Vec<_>>(), names, "{list:?}");
            for (name, _, file) in &some {
                assert_content(&registry, name, &expected[*file]);
            }
        }
        // Each is removed without the others.
        let registry = open(&store).await;
        registry.drop_index(some[0].0).await.expect("drops");
        drop(registry);
        let registry = open(&store).await;
        assert!(matches!(registry.info(some[0].0), Err(Error::NoIndex(_))));
        for (name, _, file) in &some[1..] {
            assert_content(&registry, name, &expected[*file]);
        }
    }
}

#[tokio::test]
async fn a_file_at_an_escaped_key_may_belong_to_the_name_behind_it() {
    let expected = expected();
    let store = Arc::new(FaultyStore::new(53));
    // The envelope says `a b`: somebody has moved it to where this project looks first.
    put_file(&store, "_vectors/a%20b.lhv1", A_B).await;
    let registry = open(&store).await;
    assert_content(&registry, "a b", &expected["v2-a_b.lhv1"]);
    drop(registry);
    // An earlier release has taken it for `a b`, and has written a log that continues it.
    let store = Arc::new(FaultyStore::new(54));
    put_file(&store, "_vectors/a b.lhv1", V1).await;
    let registry = open(&store).await;
    let item = [("new".to_owned(), (vec![1.0; 8], None))];
    registry.add("a b", add_request(&item)).await.expect("adds");
    drop(registry);
    put_file(&store, "_vectors/a%20b.lhv1", V1).await;
    let registry = open(&store).await;
    assert_eq!(registry.info("a b").expect("serves").count, 24);
    assert_eq!(registry.list().indexes.len(), 1);
}

#[tokio::test]
async fn where_both_keys_have_a_file_nothing_is_lost() {
    let expected = expected();
    // Killed between the new file and the removal of the old one: the new one may have gone on since.
    let store = Arc::new(FaultyStore::new(55));
    put_file(&store, "_vectors/a b.lhv1", A_B).await;
    let registry = open(&store).await;
    registry.delete("a b", DeleteRequest { ids: vec!["w-01".into()] }).await.expect("deletes");
    registry.save_all().await;
    drop(registry);
    put_file(&store, "_vectors/a b.lhv1", A_B).await;
    let registry = open(&store).await;
    assert_eq!(registry.info("a b").expect("serves").count, 22);
    assert_eq!(keys(&store).await, ["_vectors/a%20b.lhv1"]);
    drop(registry);

    // Another index of that name: it serves, the old file is kept until the index is deleted.
    put_file(&store, "_vectors/a b.lhv1", ONE).await;
    let registry = open(&store).await;
    assert_eq!(registry.info("a b").expect("serves").count, 22);
    registry.save_all().await;
    assert_eq!(keys(&store).await, ["_vectors/a b.lhv1", "_vectors/a%20b.lhv1"]);
    registry.drop_index("a b").await.expect("drops");
    assert_eq!(keys(&store).await, Vec::<String>::new());
    drop(registry);

    // Both of the first system: each under its own name.
    put_file(&store, "_vectors/a b.lhv1", ONE).await;
    put_file(&store, "_vectors/a%20b.lhv1", A_B).await;
    let registry = open(&store).await;
    assert_content(&registry, "a b", &expected["v2-one.lhv1"]);
    assert_content(&registry, "a%20b", &expected["v2-a_b.lhv1"]);
}

#[tokio::test]
async fn a_bad_file_under_a_literal_name_is_kept_until_it_is_deleted() {
    let store = Arc::new(FaultyStore::new(56));
    put_file(&store, "_vectors/a b.lhv1", &A_B[..A_B.len() - 5]).await;
    put_file(&store, "_vectors/ at the edge.lhv1", A_B).await;
    put_file(&store, "_vectors/c/d.lhv1", A_B).await;
    let before = keys(&store).await;
    let registry = open(&store).await;
    let bad = registry.quarantined();
    let names: Vec<&str> = bad.iter().map(|index| index.name.as_str()).collect();
    assert_eq!(names, [" at the edge", "a b", "c/d"]);
    assert!(bad[0].reason.contains("white space") && bad[2].reason.contains("`/`"), "{bad:?}");
    assert!(matches!(registry.create(&request("a b", Distance::L2)).await, Err(Error::Quarantined { .. })));
    assert_eq!(keys(&store).await, before);
    for name in [" at the edge", "a b", "c/d"] {
        registry.drop_index(name).await.expect("drops");
    }
    assert_eq!(keys(&store).await, Vec::<String>::new());
    registry.create(&request("a b", Distance::L2)).await.expect("creates");
}

/// The store fails at random while old files are taken over: whatever happens, each index is there in
/// the end, once.
#[tokio::test(start_paused = true)]
async fn taking_over_survives_a_store_that_fails() {
    use std::sync::atomic::Ordering;
    let expected = expected();
    for seed in 60..90 {
        let store = Arc::new(FaultyStore::new(seed));
        put_file(&store, "_vectors/a b.lhv1", A_B).await;
        put_file(&store, "_vectors/a%20b.lhv1", V1).await;
        put_file(&store, "_vectors/e.lhv1", EMPTY).await;
        store.faults.store(250, Ordering::Relaxed);
        for _ in 0..3 {
            let store: Arc<dyn lakehouse_objstore::ObjectStore> = Arc::clone(&store) as _;
            let options =
                lakehouse_vector::Options { load_timeout: std::time::Duration::from_millis(1_200), ..crate::options() };
            drop(Registry::open(Some(store), options).await);
        }
        store.faults.store(0, Ordering::Relaxed);
        let registry = open(&store).await;
        assert!(registry.quarantined().is_empty(), "seed {seed}: {:?}", registry.quarantined());
        assert_content(&registry, "a b", &expected["v2-a_b.lhv1"]);
        assert_content(&registry, "a%20b", &expected["v1-24.lhv1"]);
        let mut left = keys(&store).await;
        left.retain(|key| !key.contains("/log/"));
        assert_eq!(left, ["_vectors/a%20b.lhv1", "_vectors/a%2520b.lhv1", "_vectors/e.lhv1"], "seed {seed}");
    }
}
