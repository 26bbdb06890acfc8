//! Every promise of [`ObjectStore`] as a test, to be run over every backend and over HTTP.
//!
//! ```no_run
//! # async fn example(store: std::sync::Arc<dyn lakehouse_objstore::ObjectStore>) {
//! use lakehouse_objstore::contract;
//! contract::run(store, contract::Options::default()).await;
//! # }
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test suite: to fail is what it is for")]

mod delete;
mod keys;
mod list;
mod race;
mod read;
mod write;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use lakehouse_types::ObjectKey;

use crate::{Error, GetOptions, ObjectStore, PutOptions, PutOutcome, body, collect};

/// What the suite has to know of the store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of the objects that are meant to be large; over 16 MiB makes S3 use several parts.
    pub large_bytes: usize,
    /// The longest key that the store takes.
    pub max_key_bytes: usize,
    /// Tasks that race for one key.
    pub racers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { large_bytes: 3 << 20, max_key_bytes: ObjectKey::MAX_BYTES, racers: 16 }
    }
}

type Case = (&'static str, fn(Room) -> BoxFuture<'static, ()>);

/// `name: case` for each function, boxed.
macro_rules! cases {
    ($($module:ident :: { $($case:ident),+ $(,)? });+ $(;)?) => {
        &[$($((concat!(stringify!($module), "/", stringify!($case)), |room| $module::$case(room).boxed())),+),+]
    };
}

const CASES: &[Case] = cases! {
    write::{
        what_is_put_can_be_read, empty_objects_are_objects, overwriting_replaces_all, large_bodies_in_uneven_pieces,
        checksums_are_verified, sizes_are_verified, a_failed_body_leaves_the_old_object,
        a_dropped_body_leaves_the_old_object, if_absent, if_match, conditions_hold_for_large_bodies,
    };
    read::{ranges, ranges_of_large_objects, ranges_outside, not_modified, absent_objects, a_reader_keeps_its_object };
    keys::{odd_keys_are_all_different_objects, a_prefix_of_a_key_is_a_key, long_segments, the_longest_key };
    list::{order_is_by_bytes, pages, prefixes_cut_segments, after_need_not_exist, entries_tell_what_head_tells };
    delete::{deleting_is_idempotent, deleting_one_leaves_its_neighbours, what_was_deleted_can_be_made_again };
    race::{if_absent_has_one_winner, if_match_has_one_winner, readers_see_whole_objects, writes_and_deletes_side_by_side };
};

/// Runs every case over `store`, each under a prefix of its own, which it leaves behind empty.
///
/// # Panics
/// When a case fails; the message names all that did.
pub async fn run(store: Arc<dyn ObjectStore>, options: Options) {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut failed = Vec::new();
    for (number, (name, case)) in CASES.iter().enumerate() {
        let prefix = format!("c{nanos:x}{run:x}/{number}/");
        let room = Room { store: Arc::clone(&store), prefix, options: options.clone() };
        // All cases are run whatever becomes of the first: a new backend fails in more than one way.
        if AssertUnwindSafe(case(room.clone())).catch_unwind().await.is_err() {
            failed.push(*name);
        }
        room.clear().await;
    }
    assert!(failed.is_empty(), "broken promises: {failed:?}");
}

/// A store, and a prefix in it that one case has for itself.
#[derive(Clone)]
struct Room {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    options: Options,
}

impl Room {
    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(format!("{}{name}", self.prefix)).expect("a valid key")
    }

    async fn put(&self, name: &str, content: impl Into<Bytes>) -> PutOutcome {
        self.store.put(&self.key(name), body(content), PutOptions::default()).await.expect("put")
    }

    async fn put_with(&self, name: &str, content: impl Into<Bytes>, options: PutOptions) -> Result<PutOutcome, Error> {
        self.store.put(&self.key(name), body(content), options).await
    }

    async fn get(&self, name: &str) -> Bytes {
        let object = self.store.get(&self.key(name), GetOptions::default()).await.expect("get");
        assert_eq!(object.meta.key, self.key(name));
        assert_eq!(object.range, 0..object.meta.size);
        let size = object.meta.size;
        let content = collect(object.body, usize::MAX).await.expect("read body");
        assert_eq!(content.len() as u64, size, "the size announced");
        content
    }

    async fn is_there(&self, name: &str) -> bool {
        match self.store.head(&self.key(name)).await {
            Ok(_) => true,
            Err(error) if error.is_not_found() => false,
            Err(error) => panic!("head: {error}"),
        }
    }

    /// All keys under the room's prefix and `prefix`, without the former, page by page.
    async fn list(&self, prefix: &str, limit: usize) -> Vec<String> {
        let whole = format!("{}{prefix}", self.prefix);
        let (mut names, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.store.list(&whole, after.as_deref(), limit).await.expect("list");
            assert!(page.objects.len() <= limit);
            let whole = page.objects.len() == limit || (limit > 1000 && page.objects.len() >= 1000);
            assert!(page.next.is_none() || whole, "only the last page may be short");
            for object in &page.objects {
                let name = object.key.as_str().strip_prefix(&self.prefix).expect("a key under the prefix");
                names.push(name.to_owned());
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return names,
            }
        }
    }

    async fn clear(&self) {
        for name in self.list("", 1000).await {
            self.store.delete(&self.key(&name)).await.expect("delete");
        }
    }
}

/// Bytes that differ from place to place and, by `seed`, from object to object.
fn pattern(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}
