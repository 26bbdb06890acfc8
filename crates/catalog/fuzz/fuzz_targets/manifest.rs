//! Any bytes as a dataset's newest manifest in the store: a catalog serves what they say, or names them as
//! damaged; in both cases it goes on, and the dataset can be deleted and registered anew.
//! `scripts/soak/fuzz 60 catalog`.

#![no_main]

use std::{cell::OnceCell, sync::Arc};

use lakehouse_catalog::{Catalog, Error, Options};
use lakehouse_objstore::{Memory, ObjectStore, PutOptions, body};
use lakehouse_types::{
    Name, ObjectKey,
    catalog::{Column, DataObject, Manifest, Mode, RegisterRequest},
    escape_segment,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// Where the record lies: where it says itself, so that the fuzzer gets past that check.
fn place(record: &Value) -> Option<(Name, u64)> {
    let name = record.get("name").and_then(Value::as_str).and_then(|name| Name::new(name).ok());
    let version = record.get("version").and_then(Value::as_u64);
    // A longer name stands under its hash.
    let name = name.filter(|name| escape_segment(&name.folded()).len() <= 400)?;
    Some((name, version.filter(|version| *version > 0)?))
}

fn request(name: &Name) -> RegisterRequest {
    RegisterRequest {
        name: name.clone(),
        schema_fingerprint: "s".to_owned(),
        schema: vec![Column { name: "a".to_owned(), sql_type: "BIGINT".to_owned() }],
        objects: vec![DataObject {
            key: ObjectKey::new("datasets/new.parquet").expect("a key"),
            size: 1,
            rows: 1,
            fingerprint: "new".to_owned(),
            sha256: None,
        }],
        mode: Mode::Append,
    }
}

async fn check(bytes: &[u8]) {
    let record: Option<Value> = serde_json::from_slice(bytes).ok();
    let (name, version) = record.as_ref().and_then(place).unwrap_or_else(|| (Name::new("d").expect("a name"), 1));
    let key = format!("_catalog/{}/{version:020}.json", escape_segment(&name.folded()));
    let key = ObjectKey::new(key).expect("every name fits a key");
    let store: Arc<dyn ObjectStore> = Arc::new(Memory::default());
    store.put(&key, body(bytes.to_vec()), PutOptions::default()).await.expect("it is empty");
    let catalog = Catalog::new(Arc::clone(&store), &Options::default());
    catalog.load().await.expect("the store is there");

    let found = catalog.manifest(&name);
    let is_damaged = matches!(found, Err(Error::Damaged { .. }));
    assert_eq!(catalog.damaged().len(), usize::from(is_damaged));
    if let Ok(found) = &found {
        assert_eq!((&found.name, found.version), (&name, version));
        // What is not read, such as 1e999 under an unknown name, may be none of `Value`.
        let said = record.as_ref().and_then(|record| record.get("manifest"));
        let said = said.map(|said| serde_json::from_value::<Manifest>(said.clone()));
        assert!(said.is_none_or(|said| said.is_ok_and(|said| said == **found)), "{found:?}");
        let rows: u64 = found.objects.iter().map(|object| object.rows).sum();
        let bytes: u64 = found.objects.iter().map(|object| object.size).sum();
        assert_eq!((found.rows, found.bytes), (rows, bytes));
    }

    // The last version that there can be has no next one.
    let has_room = version < u64::MAX - 4;
    match catalog.register(request(&name)).await {
        Ok(answer) => {
            assert!(!is_damaged);
            assert!(answer.manifest.objects.iter().any(|object| object.fingerprint == "new"));
        }
        Err(Error::Damaged { .. }) => assert!(is_damaged),
        Err(Error::Drift(_) | Error::ObjectConflict { .. } | Error::Invalid(_)) => assert!(found.is_ok()),
        Err(error) => assert!(!has_room, "{error}"),
    }
    let deleted = catalog.delete(&name).await;
    let was_there = catalog.manifest(&name).is_ok();
    assert!(!was_there || !has_room, "{deleted:?}");
    if has_room {
        assert!(deleted.is_ok(), "{deleted:?}");
        let anew = catalog.register(request(&name)).await.expect("nothing is in its way");
        assert!(anew.manifest.version > version && !anew.existing);
        let other = Catalog::new(store, &Options::default());
        other.load().await.expect("the store is there");
        assert_eq!(*other.manifest(&name).expect("it was registered"), anew.manifest);
        assert!(other.damaged().is_empty());
    }
}

fuzz_target!(|bytes: &[u8]| {
    RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| Builder::new_current_thread().build().expect("a runtime"));
        runtime.block_on(check(bytes));
    });
});
