use std::collections::BTreeSet;

use super::Room;

/// Keys that a file system, a URL or a careless decoder would take for one another, or for
/// something else than a key.
const ODD: &[&str] = &[
    "case",
    "Case",
    "CASE",
    "caſe",
    "straße",
    "STRASSE",
    "e\u{301}cole",
    "\u{e9}cole", // the same word in Unicode's two normal forms
    "a",
    "a/b",
    "a/b/c",
    "a/B",
    "a.b",
    "a-b",
    "a b",
    "a+b",
    "a%20b",
    "a%2Fb",
    "a%252Fb",
    "a%00",
    "%",
    "%%",
    "%zz",
    "%c3%a9",
    "...",
    "..a",
    "a..",
    ".hidden",
    "a/...",
    "~",
    "~/x",
    "-",
    "--help",
    "_",
    "=",
    "+",
    "a+",
    "a+/b",
    "=a",
    "a=",
    "'",
    "\"",
    "`",
    "O'Brien's data",
    "\"quoted\"",
    "a\\b",
    "\\",
    "a\\..\\b",
    "C:",
    "C:/x",
    "con",
    "nul.txt",
    "a?b",
    "a?b=c&d",
    "a#b",
    "a&b",
    "a;b",
    "a:b",
    "a*b",
    "a|b",
    "<a>",
    "$HOME",
    "$(id)",
    "{}",
    "[x]",
    "a,b",
    "@",
    "!",
    " leading",
    "trailing ",
    "trailing.",
    "日本語/キー",
    "🦆",
    "👩‍👩‍👧",
    "\u{feff}bom",
    "\u{202e}rtl",
    "\u{fffd}",
    "ﬁ",
    "fi",
    "tmp",
    "objects",
    "lock",
    "format",
    "put-0",
];

pub(super) async fn odd_keys_are_all_different_objects(room: Room) {
    for name in ODD {
        assert!(room.put(name, *name).await.created, "{name:?} was there already");
    }
    for name in ODD {
        assert_eq!(room.get(name).await, *name, "{name:?}");
    }
    let sorted: BTreeSet<&str> = ODD.iter().copied().collect();
    assert_eq!(sorted.len(), ODD.len(), "no key twice in the list");
    assert_eq!(room.list("", 7).await, sorted.iter().copied().collect::<Vec<_>>());
    for name in ODD {
        room.store.delete(&room.key(name)).await.unwrap();
        assert!(!room.is_there(name).await, "{name:?}");
    }
    assert!(room.list("", 1000).await.is_empty());
}

pub(super) async fn a_prefix_of_a_key_is_a_key(room: Room) {
    // Both orders: the file first and the directory first, in backends that have such things.
    for names in [["a", "a/b", "a/b/c"], ["z/b/c", "z/b", "z"]] {
        for name in names {
            room.put(name, name).await;
        }
        for name in names {
            assert_eq!(room.get(name).await, name);
        }
    }
    assert_eq!(room.list("", 1000).await, ["a", "a/b", "a/b/c", "z", "z/b", "z/b/c"]);
    room.store.delete(&room.key("a/b")).await.unwrap();
    room.store.delete(&room.key("z")).await.unwrap();
    assert_eq!(room.list("", 1000).await, ["a", "a/b/c", "z/b", "z/b/c"]);
    assert_eq!(room.get("a/b/c").await, "a/b/c");
}

pub(super) async fn long_segments(room: Room) {
    let room_left = room.options.max_key_bytes - room.prefix.len();
    let mut names: Vec<String> = Vec::new();
    for len in [127, 128, 129, 200, 254, 255, 256, 257, 300, 512, 900] {
        names.push("x".repeat(len));
        names.push(format!("{}Y", "x".repeat(len)));
        names.push(format!("{}-", "x".repeat(len)));
        names.push(format!("{}/inside", "x".repeat(len)));
        names.push("é".repeat(len / 2));
        names.push(format!("{}/x", "É".repeat(len / 2)));
    }
    names.retain(|name| name.len() <= room_left);
    for name in &names {
        room.put(name, name.clone()).await;
    }
    for name in &names {
        assert_eq!(room.get(name).await, name.as_bytes(), "{name}");
    }
    names.sort();
    names.dedup();
    assert_eq!(room.list("", 1000).await, names);
    assert_eq!(room.list("", 3).await, names);
    let below: Vec<&String> = names.iter().filter(|name| name.starts_with(&"x".repeat(128))).collect();
    assert_eq!(room.list(&"x".repeat(128), 4).await.iter().collect::<Vec<_>>(), below);
}

pub(super) async fn the_longest_key(room: Room) {
    let left = room.options.max_key_bytes - room.prefix.len();
    let one = "K".repeat(left);
    let many: String = "É/"
        .repeat(left)
        .chars()
        .scan(0, |len, c| {
            *len += c.len_utf8();
            (*len <= left).then_some(c)
        })
        .collect();
    let many = many.trim_end_matches('/');
    for name in [&one, many] {
        room.put(name, "deep").await;
        assert_eq!(room.get(name).await, "deep");
    }
    let mut names = vec![one.clone(), many.to_owned()];
    names.sort();
    assert_eq!(room.list("", 1).await, names);
    for name in names {
        room.store.delete(&room.key(&name)).await.unwrap();
        assert!(!room.is_there(&name).await);
    }
}
