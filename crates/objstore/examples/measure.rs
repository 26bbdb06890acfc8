//! Figures for docs/adr/002: `cargo run -p lakehouse-objstore --example measure -- DIRECTORY`.
//!
//! Writes small objects alone and side by side, then lists 100,000 of them in one directory and
//! in a thousand, and writes and reads a gigabyte. DIRECTORY is made, used and removed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, run by hand")]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_objstore::{GetOptions, Local, LocalOptions, ObjectStore as _, PutOptions, body};
use lakehouse_types::ObjectKey;

const OBJECTS: usize = 100_000;
const GIGABYTE: u64 = 1 << 30;

fn main() {
    let root = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "measure.tmp".to_owned()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        small_writes(&root).await;
        listings(&root).await;
        large_object(&root).await;
    });
    std::fs::remove_dir_all(root).unwrap();
}

fn open(root: &std::path::Path, on_sync: Option<lakehouse_objstore::SyncObserver>) -> Arc<Local> {
    Arc::new(Local::open(LocalOptions { root: root.to_owned(), on_sync }).unwrap())
}

fn key(key: String) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

async fn small_writes(root: &std::path::Path) {
    let syncs = Arc::new(Mutex::new(Vec::<Duration>::new()));
    let seen = Arc::clone(&syncs);
    let store = open(root, Some(Arc::new(move |took| seen.lock().unwrap().push(took))));
    for writers in [1_usize, 4, 16, 64] {
        let count = 2_000;
        let began = Instant::now();
        let tasks = (0..writers).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for i in (writer..count).step_by(writers) {
                    store.put(&key(format!("small/{i}")), body(vec![7; 1024]), PutOptions::default()).await.unwrap();
                }
            })
        });
        futures::future::join_all(tasks).await;
        let rate = count as f64 / began.elapsed().as_secs_f64();
        let mut took = std::mem::take(&mut *syncs.lock().unwrap());
        took.sort();
        let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        println!("1 KiB writes, {writers:2} at once: {rate:6.0}/s; a sync takes {median:?}, p99 {p99:?}");
    }
}

/// The files are made directly: a hundred thousand syncs would take a minute and say nothing of listing.
async fn listings(root: &std::path::Path) {
    for directories in [1, 1000] {
        let path = |i: usize| format!("listed-{directories}/{:04}/{i:06}", i % directories);
        for i in 0..OBJECTS {
            let file = root.join(Local::relative_path(&key(path(i))));
            if i < directories {
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            }
            std::fs::write(file, "x").unwrap();
        }
        rustix::fs::sync();
        for round in ["first", "again"] {
            let store = open(root, None);
            let (mut after, mut seen, mut slowest) = (None::<String>, 0, Duration::ZERO);
            let began = Instant::now();
            loop {
                let page_began = Instant::now();
                let page = store.list(&format!("listed-{directories}/"), after.as_deref(), 1000).await.unwrap();
                slowest = slowest.max(page_began.elapsed());
                seen += page.objects.len();
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert_eq!(seen, OBJECTS);
            let whole = began.elapsed();
            println!(
                "{OBJECTS} objects in {directories:4} directories, 100 pages, {round}: {whole:?}; slowest page {slowest:?}"
            );
        }
    }
}

async fn large_object(root: &std::path::Path) {
    let store = open(root, None);
    let piece = Bytes::from(vec![7; 256 << 10]);
    for _ in 0..3 {
        let count = usize::try_from(GIGABYTE / (256 << 10)).unwrap();
        let pieces: Vec<std::io::Result<Bytes>> = std::iter::repeat_with(|| Ok(piece.clone())).take(count).collect();
        let began = Instant::now();
        let stream = futures::stream::iter(pieces).boxed();
        store.put(&key("large".to_owned()), stream, PutOptions::default()).await.unwrap();
        let wrote = began.elapsed();
        let began = Instant::now();
        let mut object = store.get(&key("large".to_owned()), GetOptions::default()).await.unwrap();
        let mut bytes = 0;
        while let Some(piece) = object.body.next().await {
            bytes += piece.unwrap().len() as u64;
        }
        assert_eq!(bytes, GIGABYTE);
        println!("1 GiB: written and synced in {wrote:?}, read in {:?}", began.elapsed());
    }
}
