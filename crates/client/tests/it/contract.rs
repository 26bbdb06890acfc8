//! The contract of an object store, over HTTP and the real storaged.

use lakehouse_client::{ClientOptions, StoreClient};
use lakehouse_objstore::contract;

#[tokio::test(flavor = "multi_thread")]
async fn storaged_through_its_client_is_an_object_store() {
    let directory = tempfile::tempdir().unwrap();
    let storaged = lakehouse_testkit::storaged(directory.path()).await;
    let store = StoreClient::new(storaged.url(), ClientOptions::default()).unwrap();
    contract::run(store.into_store(), contract::Options::default()).await;
    storaged.stop().await;
}
