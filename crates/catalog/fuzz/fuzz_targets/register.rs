//! Any lines as registrations: what is acknowledged is what another catalog over the same store finds,
//! and what is refused changes nothing.
//! `scripts/soak/fuzz 60 catalog`.

#![no_main]

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lakehouse_catalog::{Catalog, Options};
use lakehouse_objstore::{Memory, ObjectStore};
use lakehouse_types::{
    ErrorKind, ServiceError as _,
    catalog::{Manifest, Mode, RegisterRequest},
};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// More in one input make it slow.
const MAX_REQUESTS: usize = 8;

async fn loaded(store: &Arc<dyn ObjectStore>) -> Catalog {
    let catalog = Catalog::new(Arc::clone(store), &Options::default());
    catalog.load().await.expect("the store is there");
    catalog
}

fn fingerprints(manifest: &Manifest) -> BTreeSet<&str> {
    manifest.objects.iter().map(|object| object.fingerprint.as_str()).collect()
}

/// What the answer must say, given what was there.
fn check_answer(before: Option<&Manifest>, request: &RegisterRequest, existing: bool, after: &Manifest) {
    let offered: BTreeSet<&str> = request.objects.iter().map(|object| object.fingerprint.as_str()).collect();
    let there = before.map(fingerprints).unwrap_or_default();
    match request.mode {
        Mode::Replace => assert_eq!(fingerprints(after), offered),
        Mode::Append => assert_eq!(fingerprints(after), there.union(&offered).copied().collect()),
    }
    assert_eq!((&after.name, &after.schema), (&request.name, &request.schema));
    assert_eq!(after.version, before.map_or(0, |before| before.version) + u64::from(!existing));
    assert_eq!(after.rows, after.objects.iter().map(|object| object.rows).sum::<u64>());
    assert_eq!(after.bytes, after.objects.iter().map(|object| object.size).sum::<u64>());
    if existing {
        assert_eq!(before, Some(after));
    }
}

async fn check(text: &str) {
    let store: Arc<dyn ObjectStore> = Arc::new(Memory::default());
    let catalog = loaded(&store).await;
    let mut model: BTreeMap<String, Manifest> = BTreeMap::new();
    let requests = text.lines().filter_map(|line| serde_json::from_str::<RegisterRequest>(line).ok());
    for request in requests.take(MAX_REQUESTS) {
        let folded = request.name.folded();
        match catalog.register(request.clone()).await {
            Ok(answer) => {
                check_answer(model.get(&folded), &request, answer.existing, &answer.manifest);
                model.insert(folded, answer.manifest);
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Conflict),
                "{error} for {request:?}"
            ),
        }
    }
    for catalog in [&catalog, &loaded(&store).await] {
        assert!(catalog.damaged().is_empty());
        let snapshot = catalog.snapshot().expect("it is loaded");
        let found: BTreeMap<String, Manifest> =
            snapshot.datasets.iter().map(|manifest| (manifest.name.folded(), Manifest::clone(manifest))).collect();
        assert_eq!(found, model);
    }
}

fuzz_target!(|text: &str| {
    RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| Builder::new_current_thread().build().expect("a runtime"));
        runtime.block_on(check(text));
    });
});
