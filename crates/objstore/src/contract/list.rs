use super::Room;

/// In order. `-` and `.` sort before `/`, `0` after it: a walk that sorts names one directory at
/// a time gets this wrong.
const SORTED: &[&str] = &[
    "A", "B/x", "a", "a!", "a-", "a-/x", "a.b", "a/b", "a/b-", "a/b/c", "a0", "aa", "b", "b/1", "b/10", "b/2", "c/é",
    "c/ê", "d/x", "é",
];

async fn fill(room: &Room) -> Vec<&'static str> {
    // Not in order, so that no backend gets away with the order of writing.
    for name in SORTED.iter().rev().step_by(2).chain(SORTED.iter().rev().skip(1).step_by(2)) {
        room.put(name, *name).await;
    }
    SORTED.to_vec()
}

pub(super) async fn order_is_by_bytes(room: Room) {
    let names = fill(&room).await;
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted, "the list above is in order");
    assert_eq!(room.list("", 1000).await, names);
}

pub(super) async fn pages(room: Room) {
    let names = fill(&room).await;
    for limit in [1, 2, 3, 5, names.len() - 1, names.len(), names.len() + 1, 100_000] {
        assert_eq!(room.list("", limit).await, names, "limit {limit}");
    }
    let whole = room.store.list(&room.prefix, None, names.len()).await.unwrap();
    assert_eq!(whole.next, None, "a page that ends with the last key is the last one");
    let none = room.store.list(&room.prefix, None, 0).await.unwrap();
    assert!(none.objects.is_empty() && none.next.is_none());
    // Changed between two pages: what comes after is what is there then.
    let first = room.store.list(&room.prefix, None, 2).await.unwrap();
    room.store.delete(&room.key("a")).await.unwrap();
    room.put("B/new", "x").await;
    let second = room.store.list(&room.prefix, first.next.as_deref(), 2).await.unwrap();
    let second: Vec<&str> = second.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(second, [room.key("a!").as_str(), room.key("a-").as_str()]);
}

pub(super) async fn prefixes_cut_segments(room: Room) {
    let names = fill(&room).await;
    for prefix in ["a", "a/", "a/b", "a/b/", "a/b/c", "a/b/c/", "a-", "b/1", "c/", "c/é", "no", "A", "z", "B/x", "é"]
    {
        let expected: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(prefix)).collect();
        for limit in [1, 1000] {
            assert_eq!(room.list(prefix, limit).await, expected, "prefix {prefix:?}");
        }
    }
    // A prefix may be what no key can be.
    for prefix in ["//", "a//b", "../", "./", "a/../b", "/", "\0", "a\n"] {
        assert!(room.list(prefix, 10).await.is_empty(), "prefix {prefix:?}");
    }
}

pub(super) async fn after_need_not_exist(room: Room) {
    let names = fill(&room).await;
    for after in
        ["", "0", "A", "A/", "a", "a/", "a/a", "a/b/", "a/b/c", "a/b/c/d", "a1", "b/1", "b/11", "zz", "é", "é0"]
    {
        let whole = format!("{}{after}", room.prefix);
        for prefix in ["", "a", "b/"] {
            let expected: Vec<String> = names
                .iter()
                .filter(|name| name.starts_with(prefix) && **name > after)
                .map(|name| room.key(name).to_string())
                .collect();
            let page = room.store.list(&format!("{}{prefix}", room.prefix), Some(&whole), 1000).await.unwrap();
            let got: Vec<String> = page.objects.iter().map(|object| object.key.to_string()).collect();
            assert_eq!(got, expected, "after {after:?}, prefix {prefix:?}");
        }
    }
    // Before the prefix, and long after it.
    let page = room.store.list(&room.prefix, Some("!"), 1000).await.unwrap();
    assert_eq!(page.objects.len(), names.len());
    let page = room.store.list(&room.prefix, Some("\u{10ffff}"), 1000).await.unwrap();
    assert!(page.objects.is_empty() && page.next.is_none());
}

pub(super) async fn entries_tell_what_head_tells(room: Room) {
    for (name, size) in [("a", 0), ("b/c", 17), ("b", 300_000)] {
        room.put(name, vec![7; size]).await;
    }
    let page = room.store.list(&room.prefix, None, 10).await.unwrap();
    assert_eq!(page.objects.len(), 3);
    for entry in page.objects {
        let head = room.store.head(&entry.key).await.unwrap();
        assert_eq!((entry.size, entry.etag), (head.size, head.etag));
        // HTTP's `Last-Modified` knows only seconds.
        let head_s = head.modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        assert_eq!(entry.modified_ms / 1000, head_s);
    }
}
