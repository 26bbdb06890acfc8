//! The contract, over the backends that need nothing but this machine.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use lakehouse_objstore::{Local, LocalOptions, Memory, contract};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn local_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let options = LocalOptions { root: dir.path().join("store"), on_sync: None };
    let store = Arc::new(Local::open(options).unwrap());
    contract::run(store, contract::Options::default()).await;
    let left = walk(&dir.path().join("store/objects")) + walk(&dir.path().join("store/tmp"));
    assert_eq!(left, 0, "no object is left, so no file and no directory may be");
}

fn walk(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| 1 + if path.is_dir() { walk(&path) } else { 0 }).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_keeps_the_contract() {
    contract::run(Arc::new(Memory::default()), contract::Options::default()).await;
}
