//! A disk that runs full in the middle of a write. The disk is a tmpfs of a few megabytes in a mount
//! namespace of its own, so the test runs itself again in there.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{env, path::Path, process::Command};

use futures::StreamExt as _;
use lakehouse_objstore::{
    ByteStream, Error, GetOptions, Local, LocalOptions, ObjectStore as _, PutOptions, body, collect,
};
use lakehouse_types::{ErrorKind, ObjectKey, ServiceError as _};

const SMALL_DISK: &str = "LAKEHOUSE_TEST_SMALL_DISK";
const MOUNT: &str = "mount -t tmpfs -o size=4m none \"$0\"";

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_written() {
    if let Some(disk) = env::var_os(SMALL_DISK) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        return runtime.block_on(on_a_small_disk(disk.as_ref()));
    }
    let dir = tempfile::tempdir().unwrap();
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(dir.path());
        command
    };
    let may_mount = in_namespace(MOUNT).output().is_ok_and(|output| output.status.success());
    if !may_mount {
        eprintln!("SKIPPED: a_full_disk_is_told_and_leaves_nothing_half_written: no mount namespaces here");
        return;
    }
    let mut again = in_namespace(&format!("{MOUNT} && exec \"$@\""));
    again.arg(env::current_exe().unwrap()).args(["--exact", "a_full_disk_is_told_and_leaves_nothing_half_written"]);
    let output = again.env(SMALL_DISK, dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn megabytes(count: usize) -> ByteStream {
    futures::stream::iter((0..count).map(|i| Ok(vec![i as u8; 1 << 20].into()))).boxed()
}

async fn on_a_small_disk(disk: &Path) {
    let store = Local::open(LocalOptions { root: disk.join("store"), on_sync: None }).unwrap();
    let (a, b) = (ObjectKey::new("a").unwrap(), ObjectKey::new("deep/er/b").unwrap());
    store.put(&a, body("old"), PutOptions::default()).await.unwrap();
    for key in [&a, &b] {
        for size in [None, Some(8 << 20)] {
            let error = store.put(key, megabytes(8), PutOptions { size, ..PutOptions::default() }).await.unwrap_err();
            assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.detail().contains("full"), "{}", error.detail());
        }
    }
    assert_eq!(std::fs::read_dir(disk.join("store/tmp")).unwrap().count(), 0);
    let object = store.get(&a, GetOptions::default()).await.unwrap();
    assert_eq!(collect(object.body, 100).await.unwrap(), "old");
    let keys: Vec<String> =
        store.list("", None, 10).await.unwrap().objects.iter().map(|object| object.key.to_string()).collect();
    assert_eq!(keys, ["a"]);
    // What fits still goes in.
    store.put(&b, megabytes(1), PutOptions::default()).await.unwrap();
    store.check().await.unwrap();
    let filler = std::fs::write(disk.join("filler"), vec![1; 8 << 20]);
    assert!(filler.is_err());
    assert!(matches!(store.check().await, Err(Error::NoSpace { .. })), "a full disk shows in the check");
    store.delete(&b).await.unwrap();
    store.check().await.unwrap();
}
