use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, symlink},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use lakehouse_types::ServiceError as _;

use super::*;
use crate::{Condition, body, collect};

fn open(root: &Path) -> Result<Local, Error> {
    Local::open(LocalOptions { root: root.to_owned(), on_sync: None })
}

fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

async fn put(store: &Local, name: &str, content: &str) -> PutOutcome {
    store.put(&key(name), body(content.to_owned()), PutOptions::default()).await.unwrap()
}

async fn get(store: &Local, name: &str) -> Result<bytes::Bytes, Error> {
    collect(store.get(&key(name), GetOptions::default()).await?.body, usize::MAX).await
}

#[test]
fn a_second_store_over_one_root_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let second = open(dir.path()).unwrap_err().to_string();
    assert!(second.contains("another process has this object store open"), "{second}");
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn a_directory_that_holds_other_things_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("not empty (`thesis.tex`)"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "and nothing was put beside them");
    fs::remove_file(dir.path().join("thesis.tex")).unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    open(dir.path()).unwrap();
}

#[test]
fn another_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    assert_eq!(fs::read_to_string(dir.path().join("format")).unwrap(), "lakehouse-objects 1\n");
    fs::write(dir.path().join("format"), "lakehouse-objects 2\n").unwrap();
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("`lakehouse-objects 2`"), "{error}");
}

#[tokio::test]
async fn what_a_crash_left_is_swept_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    put(&store, "put-1", "an object may have this name").await;
    drop(store);
    for name in ["put-0", "put-ff", "notes.txt"] {
        fs::write(dir.path().join("tmp").join(name), "half").unwrap();
    }
    fs::create_dir(dir.path().join("tmp/put-dir")).unwrap();
    let store = open(dir.path()).unwrap();
    let mut left: Vec<_> =
        fs::read_dir(dir.path().join("tmp")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["notes.txt", "put-dir"]);
    assert_eq!(get(&store, "put-1").await.unwrap(), "an object may have this name");
}

#[tokio::test]
async fn tags_and_times_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let etag = put(&store, "a/b", "x").await.etag;
    let before = store.head(&key("a/b")).await.unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    let after = store.head(&key("a/b")).await.unwrap();
    assert_eq!(before, after);
    assert_eq!(etag, after.etag);
    let condition = Condition::IfMatch(etag);
    store.put(&key("a/b"), body("y"), PutOptions { condition, ..PutOptions::default() }).await.unwrap();
}

#[tokio::test]
async fn an_object_is_exactly_its_bytes_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for name in ["datasets/O'Brien's data/1f.parquet", "datasets", "A/b"] {
        put(&store, name, name).await;
        let path = dir.path().join(Local::relative_path(&key(name)));
        assert_eq!(fs::read_to_string(&path).unwrap(), name, "{}", path.display());
    }
    assert!(dir.path().join("objects/datasets+/%4f%27%42rien%27s%20data+/1f.parquet").exists());
}

/// Links, pipes and directories that somebody put where an object would be.
#[tokio::test]
async fn planted_things_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let store = open(dir.path()).unwrap();
    put(&store, "plain", "x").await;
    let objects = dir.path().join("objects");
    symlink(outside.path().join("secret"), objects.join("link")).unwrap();
    symlink(outside.path(), objects.join("dir+")).unwrap();
    fs::create_dir(objects.join("directory")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, objects.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    assert!(fs::symlink_metadata(objects.join("pipe")).unwrap().file_type().is_fifo());
    for name in ["link", "dir/secret", "directory", "pipe"] {
        let error = get(&store, name).await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{name}: {error:?}");
        assert!(!error.detail().contains("secret"), "{}", error.detail());
        assert!(store.head(&key(name)).await.is_err());
    }
    assert!(store.put(&key("dir/new"), body("x"), PutOptions::default()).await.is_err());
    assert!(store.delete(&key("dir/secret")).await.is_err());
    let page = store.list("", None, 100).await.unwrap();
    assert_eq!(page.objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["plain"]);
    // A write replaces the link and not what it points at.
    put(&store, "link", "mine").await;
    assert_eq!(get(&store, "link").await.unwrap(), "mine");
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_cut_short_is_an_error_and_not_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    store.put(&key("a"), body(vec![1; 1 << 20]), PutOptions::default()).await.unwrap();
    let mut object = store.get(&key("a"), GetOptions::default()).await.unwrap();
    fs::OpenOptions::new().write(true).open(dir.path().join("objects/a")).unwrap().set_len(300_000).unwrap();
    assert!(object.body.next().await.unwrap().is_ok());
    let rest = collect(object.body, usize::MAX).await;
    assert!(matches!(&rest, Err(Error::Body(error)) if error.kind() == io::ErrorKind::UnexpectedEof), "{rest:?}");
}

#[tokio::test]
async fn every_write_syncs_its_file_and_directories() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&syncs);
    let on_sync: SyncObserver = Arc::new(move |_| *seen.lock().unwrap() += 1);
    let store = Local::open(LocalOptions { root: dir.path().to_owned(), on_sync: Some(on_sync) }).unwrap();
    let count = || std::mem::take(&mut *syncs.lock().unwrap());
    put(&store, "a/b/c", "x").await;
    assert_eq!(count(), 4, "the file, its directory, and the parents of two new ones");
    put(&store, "a/b/c", "y").await;
    assert_eq!(count(), 2, "the file and its directory");
    store.delete(&key("a/b/c")).await.unwrap();
    assert_eq!(count(), 1, "the directory");
    store.delete(&key("a/b/c")).await.unwrap();
    assert_eq!(count(), 0, "nothing was changed");
}

/// What takes the place of the flag that some file systems don't know.
#[tokio::test]
async fn linking_refuses_what_is_there_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    put(&store, "a", "old").await;
    let objects = fs::File::open(dir.path().join("objects")).unwrap();
    fs::write(dir.path().join("tmp/put-x"), "new").unwrap();
    let link =
        |file: &str| super::write::link_and_unlink(&store.inner, "put-x", std::os::fd::AsFd::as_fd(&objects), file);
    assert_eq!(link("a"), Err(rustix::io::Errno::EXIST));
    assert_eq!(get(&store, "a").await.unwrap(), "old");
    assert_eq!(link("b"), Ok(()));
    assert_eq!(get(&store, "b").await.unwrap(), "new");
    assert!(!dir.path().join("tmp/put-x").exists());
}

#[tokio::test]
async fn a_root_that_went_away_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let store = open(&root).unwrap();
    store.check().await.unwrap();
    fs::rename(&root, dir.path().join("moved")).unwrap();
    assert!(store.check().await.is_err());
    fs::create_dir_all(root.join("tmp")).unwrap();
    assert!(store.check().await.is_err(), "another directory in its place is not it");
}

/// Names enough to be kept between pages, with writes and deletes between them.
#[tokio::test]
async fn a_listing_sees_what_changes_between_its_pages() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let objects = dir.path().join("objects");
    for i in 0..2000 {
        fs::write(objects.join(format!("{i:04}")), "x").unwrap();
    }
    let first = store.list("", None, 500).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("0499"));
    put(&store, "0499a", "new").await;
    put(&store, "0500/x/y", "new, in new directories").await;
    store.delete(&key("0500")).await.unwrap();
    let names = |page: &ListPage| page.objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>();
    let second = store.list("", Some("0499"), 3).await.unwrap();
    assert_eq!(names(&second), ["0499a", "0500/x/y", "0501"]);
    store.delete(&key("0500/x/y")).await.unwrap();
    store.delete(&key("0499a")).await.unwrap();
    let again = store.list("", Some("0499"), 2).await.unwrap();
    assert_eq!(names(&again), ["0501", "0502"]);
    assert_eq!(store.list("", None, 5000).await.unwrap().objects.len(), 1999);
}

/// 20,000 names in one directory by pages of 100: were each page to read it all, this would take
/// 200 times as long as one reading. The bound leaves room for a slow machine, and the best of three
/// is what the machine takes when it does nothing else meanwhile.
#[tokio::test]
async fn paging_does_not_read_the_directory_for_every_page() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let objects = dir.path().join("objects");
    for i in 0..20_000 {
        fs::File::create(objects.join(format!("{i:05}"))).unwrap();
    }
    let (mut whole, mut paged) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        // Opened anew, it has kept nothing of the time before.
        let store = open(dir.path()).unwrap();
        let began = Instant::now();
        assert_eq!(store.list("", None, 100_000).await.unwrap().objects.len(), 20_000);
        whole = whole.min(began.elapsed());
        let (mut after, mut seen) = (None, 0);
        let began = Instant::now();
        loop {
            let page = store.list("", after.as_deref(), 100).await.unwrap();
            seen += page.objects.len();
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        paged = paged.min(began.elapsed());
        assert_eq!(seen, 20_000);
    }
    assert!(paged < 20 * whole, "in one page {whole:?}, in 200 pages {paged:?}");
}
