use bytes::BytesMut;
use futures::StreamExt as _;

use super::{Room, pattern};
use crate::{ByteRange, Error, GetOptions, collect};

fn part(range: ByteRange) -> GetOptions {
    GetOptions { range: Some(range), ..GetOptions::default() }
}

pub(super) async fn ranges(room: Room) {
    room.put("a", "0123456789").await;
    let cases = [
        (ByteRange::From(0), 0..10),
        (ByteRange::From(4), 4..10),
        (ByteRange::From(9), 9..10),
        (ByteRange::Inclusive(0, 0), 0..1),
        (ByteRange::Inclusive(2, 5), 2..6),
        (ByteRange::Inclusive(0, 9), 0..10),
        (ByteRange::Inclusive(7, 1000), 7..10),
        (ByteRange::Inclusive(7, u64::MAX), 7..10),
        (ByteRange::Last(1), 9..10),
        (ByteRange::Last(10), 0..10),
        (ByteRange::Last(11), 0..10),
    ];
    for (range, expected) in cases {
        let object = room.store.get(&room.key("a"), part(range)).await.unwrap();
        assert_eq!(object.range, expected, "{range:?}");
        assert_eq!(object.meta.size, 10, "the size is the whole object's");
        let content = collect(object.body, 10).await.unwrap();
        let (start, end) = (expected.start as usize, expected.end as usize);
        assert_eq!(content, &b"0123456789"[start..end], "{range:?}");
    }
}

pub(super) async fn ranges_of_large_objects(room: Room) {
    let content = pattern(11, room.options.large_bytes);
    room.put("a", content.clone()).await;
    let size = content.len() as u64;
    for (start, end) in [(1, 2), (0, 262_144), (262_143, 262_145), (size / 2, size), (size - 1, size), (3, size - 3)] {
        let object = room.store.get(&room.key("a"), part(ByteRange::Inclusive(start, end - 1))).await.unwrap();
        assert_eq!(object.range, start..end);
        assert!(collect(object.body, usize::MAX).await.unwrap() == content[start as usize..end as usize]);
    }
}

pub(super) async fn ranges_outside(room: Room) {
    room.put("a", "0123456789").await;
    room.put("empty", "").await;
    let outside = [ByteRange::From(10), ByteRange::From(u64::MAX), ByteRange::Inclusive(10, 20), ByteRange::Last(0)];
    for range in outside {
        match room.store.get(&room.key("a"), part(range)).await {
            Err(Error::InvalidRange { size: 10 }) => {}
            other => panic!("{range:?}: {other:?}"),
        }
    }
    for range in [ByteRange::From(0), ByteRange::Inclusive(0, 0), ByteRange::Last(1)] {
        let outcome = room.store.get(&room.key("empty"), part(range)).await;
        assert!(matches!(outcome, Err(Error::InvalidRange { size: 0 })), "{range:?}: {outcome:?}");
    }
    let absent = room.store.get(&room.key("absent"), part(ByteRange::From(10))).await;
    assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
}

pub(super) async fn not_modified(room: Room) {
    let etag = room.put("a", "first").await.etag;
    let known = |tags: &[&str]| GetOptions {
        if_none_match: tags.iter().map(ToString::to_string).collect(),
        ..GetOptions::default()
    };
    for tags in [&[etag.as_str()][..], &["x", &etag, "y"]] {
        match room.store.get(&room.key("a"), known(tags)).await {
            Err(Error::NotModified { etag: told, .. }) => assert_eq!(told, etag),
            other => panic!("{tags:?}: {other:?}"),
        }
    }
    for tags in [&["other"][..], &["x", "y"]] {
        let object = room.store.get(&room.key("a"), known(tags)).await.unwrap();
        assert_eq!(collect(object.body, 100).await.unwrap(), "first");
    }
    room.put("a", "second").await;
    let object = room.store.get(&room.key("a"), known(&[&etag])).await.unwrap();
    assert_eq!(collect(object.body, 100).await.unwrap(), "second");
    let absent = room.store.get(&room.key("absent"), known(&[&etag])).await;
    assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
}

pub(super) async fn absent_objects(room: Room) {
    room.put("there/inside", "x").await;
    for name in ["absent", "there", "there/inside/more", "there/insid", "There/inside"] {
        let key = room.key(name);
        match room.store.get(&key, GetOptions::default()).await {
            Err(Error::NotFound { key: told }) => assert_eq!(told, key.as_str()),
            other => panic!("{name}: {other:?}"),
        }
        assert!(!room.is_there(name).await, "{name}");
    }
    room.store.check().await.unwrap();
}

/// Overwritten and deleted half-way, and no reader sees it.
pub(super) async fn a_reader_keeps_its_object(room: Room) {
    let (old, new) = (pattern(12, room.options.large_bytes), pattern(13, room.options.large_bytes / 2));
    room.put("a", old.clone()).await;
    let mut object = room.store.get(&room.key("a"), GetOptions::default()).await.unwrap();
    let mut content = BytesMut::new();
    content.extend_from_slice(&object.body.next().await.unwrap().unwrap());
    room.put("a", new.clone()).await;
    let mut second = room.store.get(&room.key("a"), GetOptions::default()).await.unwrap();
    let mut second_content = BytesMut::new();
    second_content.extend_from_slice(&second.body.next().await.unwrap().unwrap());
    room.store.delete(&room.key("a")).await.unwrap();
    while let Some(piece) = object.body.next().await {
        content.extend_from_slice(&piece.unwrap());
    }
    while let Some(piece) = second.body.next().await {
        second_content.extend_from_slice(&piece.unwrap());
    }
    assert!(content == old && second_content == new);
}
