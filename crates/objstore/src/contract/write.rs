use std::io;

use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{Room, pattern};
use crate::{ByteStream, Condition, Error, PutOptions};

fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn when(condition: Condition) -> PutOptions {
    PutOptions { condition, ..PutOptions::default() }
}

pub(super) async fn what_is_put_can_be_read(room: Room) {
    let outcome = room.put("a", "hello").await;
    assert!(outcome.created);
    assert_eq!(outcome.size, 5);
    assert!(!outcome.etag.is_empty() && !outcome.etag.contains('"'), "{:?}", outcome.etag);
    assert_eq!(room.get("a").await, "hello");
    let meta = room.store.head(&room.key("a")).await.unwrap();
    assert_eq!((meta.key, meta.size, meta.etag), (room.key("a"), 5, outcome.etag));
    let age = meta.modified.elapsed().unwrap_or_default();
    assert!(age.as_secs() < 3600, "last written {age:?} ago");
}

pub(super) async fn empty_objects_are_objects(room: Room) {
    assert_eq!(room.put("nothing", "").await.size, 0);
    let none = room.store.put(&room.key("no piece"), futures::stream::empty().boxed(), PutOptions::default()).await;
    assert_eq!(none.unwrap().size, 0);
    let pieces = futures::stream::iter(["", "a", "", "", "b", ""].map(|piece| Ok(Bytes::from(piece)))).boxed();
    room.store.put(&room.key("empty pieces"), pieces, PutOptions::default()).await.unwrap();
    assert_eq!(room.get("nothing").await, "");
    assert_eq!(room.get("no piece").await, "");
    assert_eq!(room.get("empty pieces").await, "ab");
    assert_eq!(room.list("", 10).await, ["empty pieces", "no piece", "nothing"]);
}

pub(super) async fn overwriting_replaces_all(room: Room) {
    let mut tags = vec![room.put("a", "a long first version").await.etag];
    for content in ["second", "", "third!", "fourth"] {
        let outcome = room.put("a", content).await;
        assert!(!outcome.created);
        assert_eq!(room.get("a").await, content);
        assert_eq!(room.store.head(&room.key("a")).await.unwrap().etag, outcome.etag);
        assert!(!tags.contains(&outcome.etag), "other content, other tag");
        tags.push(outcome.etag);
    }
}

pub(super) async fn large_bodies_in_uneven_pieces(room: Room) {
    let content = pattern(1, room.options.large_bytes + 12_345);
    let (mut rest, mut pieces, mut size) = (content.clone(), Vec::new(), 1);
    while !rest.is_empty() {
        pieces.push(rest.split_to(size.min(rest.len())));
        size = if size > 700_000 { 3 } else { size * 7 };
    }
    for (name, announced) in [("unannounced", None), ("announced", Some(content.len() as u64))] {
        let body = futures::stream::iter(pieces.clone().into_iter().map(Ok));
        let options = PutOptions { size: announced, sha256: Some(sha256(&content)), ..PutOptions::default() };
        let outcome = room.store.put(&room.key(name), body.boxed(), options).await.unwrap();
        assert_eq!(outcome.size, content.len() as u64);
        assert!(room.get(name).await == content, "the bytes differ");
    }
}

pub(super) async fn checksums_are_verified(room: Room) {
    for content in [Bytes::from("old"), pattern(2, room.options.large_bytes)] {
        room.put("a", "before").await;
        let wrong = PutOptions { sha256: Some(sha256(b"something else")), ..PutOptions::default() };
        match room.put_with("a", content.clone(), wrong.clone()).await {
            Err(Error::ChecksumMismatch { .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(room.get("a").await, "before");
        let refused = room.put_with("new", content.clone(), wrong).await;
        assert!(matches!(refused, Err(Error::ChecksumMismatch { .. })), "{refused:?}");
        assert!(!room.is_there("new").await);
        let right = PutOptions { sha256: Some(sha256(&content)), ..PutOptions::default() };
        room.put_with("a", content.clone(), right).await.unwrap();
        assert!(room.get("a").await == content);
    }
}

pub(super) async fn sizes_are_verified(room: Room) {
    room.put("a", "before").await;
    for announced in [0, 1, 4, 6, 100] {
        let options = PutOptions { size: Some(announced), ..PutOptions::default() };
        let refused = room.put_with("a", "12345", options).await;
        assert!(matches!(refused, Err(Error::Body(_))), "announced {announced}: {refused:?}");
        assert_eq!(room.get("a").await, "before");
    }
    let options = PutOptions { size: Some(5), ..PutOptions::default() };
    assert_eq!(room.put_with("a", "12345", options).await.unwrap().size, 5);
}

/// Some good bytes, then what a caller that hangs up looks like.
fn broken(good: Bytes) -> ByteStream {
    let reset = || io::Error::new(io::ErrorKind::ConnectionReset, "the caller hung up");
    futures::stream::iter([Ok(good), Err(reset())]).boxed()
}

pub(super) async fn a_failed_body_leaves_the_old_object(room: Room) {
    let etag = room.put("a", "old").await.etag;
    for good in [Bytes::new(), Bytes::from("ne"), pattern(3, room.options.large_bytes)] {
        for name in ["a", "absent"] {
            let failed = room.store.put(&room.key(name), broken(good.clone()), PutOptions::default()).await;
            assert!(matches!(failed, Err(Error::Body(_))), "{failed:?}");
        }
        assert_eq!(room.get("a").await, "old");
        assert_eq!(room.store.head(&room.key("a")).await.unwrap().etag, etag);
        assert_eq!(room.list("", 10).await, ["a"]);
    }
}

pub(super) async fn a_dropped_body_leaves_the_old_object(room: Room) {
    room.put("a", "old").await;
    let content = pattern(4, room.options.large_bytes);
    for name in ["a", "absent"] {
        let (sender, receiver) = futures::channel::mpsc::channel::<io::Result<Bytes>>(0);
        let (store, key) = (room.store.clone(), room.key(name));
        let put = tokio::spawn(async move { store.put(&key, receiver.boxed(), PutOptions::default()).await });
        let mut sender = sender;
        let mut rest = content.clone();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(100_000));
            futures::SinkExt::send(&mut sender, Ok(piece)).await.expect("the store is reading");
        }
        // All of it was taken and the end never came: now the writer goes away.
        put.abort();
        assert!(put.await.expect_err("it can't have ended").is_cancelled());
        drop(sender);
        assert_eq!(room.get("a").await, "old");
        assert_eq!(room.list("", 10).await, ["a"]);
    }
    room.put("absent", "works afterwards").await;
    assert_eq!(room.get("absent").await, "works afterwards");
}

pub(super) async fn if_absent(room: Room) {
    let made = room.put_with("a", "first", when(Condition::IfAbsent)).await.unwrap();
    assert!(made.created);
    let refused = room.put_with("a", "second", when(Condition::IfAbsent)).await.unwrap_err();
    assert!(refused.is_precondition_failed(), "{refused:?}");
    assert_eq!(room.get("a").await, "first");
    assert_eq!(room.store.head(&room.key("a")).await.unwrap().etag, made.etag);
    // A body that fails must not look like one that lost.
    let failed = room.store.put(&room.key("b"), broken(Bytes::from("x")), when(Condition::IfAbsent)).await;
    assert!(matches!(failed, Err(Error::Body(_))), "{failed:?}");
    room.put_with("b", "free still", when(Condition::IfAbsent)).await.unwrap();
}

pub(super) async fn if_match(room: Room) {
    let first = room.put("a", "first").await.etag;
    let second = room.put_with("a", "second", when(Condition::IfMatch(first.clone()))).await.unwrap();
    assert!(!second.created);
    let stale = room.put_with("a", "third", when(Condition::IfMatch(first.clone()))).await.unwrap_err();
    assert!(stale.is_precondition_failed(), "{stale:?}");
    assert_eq!(room.get("a").await, "second");
    let absent = room.put_with("absent", "x", when(Condition::IfMatch(first))).await.unwrap_err();
    assert!(absent.is_precondition_failed(), "nothing has that tag: {absent:?}");
    assert_eq!(room.list("", 10).await, ["a"]);
    room.put_with("a", "third", when(Condition::IfMatch(second.etag))).await.unwrap();
    assert_eq!(room.get("a").await, "third");
}

/// A large body takes another way in S3, and must keep the same promise or say that it can't.
pub(super) async fn conditions_hold_for_large_bodies(room: Room) {
    let (one, two) = (pattern(5, room.options.large_bytes), pattern(6, room.options.large_bytes));
    let made = room.put_with("a", one.clone(), when(Condition::IfAbsent)).await.unwrap();
    let refused = room.put_with("a", two.clone(), when(Condition::IfAbsent)).await.unwrap_err();
    assert!(refused.is_precondition_failed(), "{refused:?}");
    assert!(room.get("a").await == one);
    for (etag, matches) in [("0-0", false), (made.etag.as_str(), true)] {
        match room.put_with("a", two.clone(), when(Condition::IfMatch(etag.to_owned()))).await {
            Ok(_) => assert!(matches, "another tag was taken for a match"),
            Err(error) if error.is_precondition_failed() => assert!(!matches, "{error}"),
            Err(Error::Unsupported(_)) => {
                assert!(room.get("a").await == one, "what is refused changes nothing");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(room.get("a").await == two);
}
