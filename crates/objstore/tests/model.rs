//! Any sequence of operations does to a store what it does to a map.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeMap, sync::Arc};

use lakehouse_objstore::{
    ByteRange, Condition, Error, GetOptions, Local, LocalOptions, Memory, ObjectStore, PutOptions, body, collect,
};
use lakehouse_types::ObjectKey;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    Put {
        key: String,
        content: Vec<u8>,
        when: When,
    },
    Delete {
        key: String,
    },
    Get {
        key: String,
        range: Option<ByteRange>,
    },
    Head {
        key: String,
    },
    List {
        prefix: String,
        after: Option<String>,
        limit: usize,
    },
    /// The local store is closed and opened again; the others have nothing to remember.
    Reopen,
}

#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    IfAbsent,
    /// With the tag that the object has now, or one that it had before.
    IfMatch {
        current: bool,
    },
}

/// Few segments, so that keys meet: as equals, as prefixes of one another, as neighbours.
fn key() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "A", "a-", "a.", "é", "e\u{301}", "%61", "+", "="]).prop_map(str::to_owned),
        1 => prop::sample::select(vec![127_usize, 128, 129, 260]).prop_map(|len| "x".repeat(len)),
        1 => prop::sample::select(vec![43_usize, 44, 90]).prop_map(|len| "X".repeat(len)),
    ];
    prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("/"))
}

fn prefix() -> impl Strategy<Value = String> {
    (key(), any::<prop::sample::Index>()).prop_map(|(key, cut)| {
        let ends: Vec<usize> = key.char_indices().map(|(at, _)| at).chain([key.len()]).collect();
        key[..*cut.get(&ends)].to_owned()
    })
}

fn op() -> impl Strategy<Value = Op> {
    let when = prop_oneof![
        4 => Just(When::Always),
        2 => Just(When::IfAbsent),
        2 => any::<bool>().prop_map(|current| When::IfMatch { current }),
    ];
    let range = prop_oneof![
        (0_u64..40).prop_map(ByteRange::From),
        (0_u64..40, 0_u64..40).prop_map(|(start, len)| ByteRange::Inclusive(start, start + len)),
        (0_u64..40).prop_map(ByteRange::Last),
    ];
    let content = prop::collection::vec(any::<u8>(), 0..30);
    prop_oneof![
        8 => (key(), content, when).prop_map(|(key, content, when)| Op::Put { key, content, when }),
        4 => key().prop_map(|key| Op::Delete { key }),
        4 => (key(), prop::option::of(range)).prop_map(|(key, range)| Op::Get { key, range }),
        2 => key().prop_map(|key| Op::Head { key }),
        4 => (prefix(), prop::option::of(prefix()), 1_usize..6)
            .prop_map(|(prefix, after, limit)| Op::List { prefix, after, limit }),
        1 => Just(Op::Reopen),
    ]
}

struct Subject {
    store: Arc<dyn ObjectStore>,
    root: Option<tempfile::TempDir>,
    model: BTreeMap<String, (Vec<u8>, String)>,
    old_tags: Vec<String>,
}

impl Subject {
    fn local() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = open(&root);
        Self { store, root: Some(root), model: BTreeMap::new(), old_tags: vec!["never".to_owned()] }
    }

    fn memory() -> Self {
        let store = Arc::new(Memory::default());
        Self { store, root: None, model: BTreeMap::new(), old_tags: vec!["never".to_owned()] }
    }

    async fn apply(&mut self, op: Op) {
        match op {
            Op::Put { key, content, when } => self.put(&key, content, when).await,
            Op::Delete { key } => {
                self.store.delete(&object_key(&key)).await.unwrap();
                if let Some((_, tag)) = self.model.remove(&key) {
                    self.old_tags.push(tag);
                }
            }
            Op::Get { key, range } => self.get(&key, range).await,
            Op::Head { key } => {
                let head = self.store.head(&object_key(&key)).await.map(|meta| (meta.size, meta.etag)).ok();
                assert_eq!(head, self.model.get(&key).map(|(content, tag)| (content.len() as u64, tag.clone())));
            }
            Op::List { prefix, after, limit } => self.list(&prefix, after.as_deref(), limit).await,
            Op::Reopen => {
                if let Some(root) = &self.root {
                    self.store = Arc::new(Memory::default()); // lets go of the root
                    self.store = open(root);
                }
            }
        }
    }

    async fn put(&mut self, key: &str, content: Vec<u8>, when: When) {
        let current = self.model.get(key).map(|(_, tag)| tag.clone());
        let (condition, holds) = match when {
            When::Always => (Condition::None, true),
            When::IfAbsent => (Condition::IfAbsent, current.is_none()),
            When::IfMatch { current: true } if current.is_some() => {
                (Condition::IfMatch(current.clone().unwrap()), true)
            }
            When::IfMatch { .. } => (Condition::IfMatch(self.old_tags.last().unwrap().clone()), false),
        };
        let options = PutOptions { condition, ..PutOptions::default() };
        match self.store.put(&object_key(key), body(content.clone()), options).await {
            Ok(outcome) => {
                assert!(holds, "written against its condition");
                assert_eq!(outcome.created, current.is_none());
                assert!(!self.old_tags.contains(&outcome.etag), "a tag came back");
                self.old_tags.extend(current);
                self.model.insert(key.to_owned(), (content, outcome.etag));
            }
            Err(Error::PreconditionFailed { .. }) => assert!(!holds, "refused though its condition holds"),
            Err(error) => panic!("{error}"),
        }
    }

    async fn get(&self, key: &str, range: Option<ByteRange>) {
        let got = self.store.get(&object_key(key), GetOptions { range, ..GetOptions::default() }).await;
        let Some((content, tag)) = self.model.get(key) else {
            assert!(matches!(got, Err(Error::NotFound { .. })), "{got:?}");
            return;
        };
        let expected = match range {
            None => 0..content.len() as u64,
            Some(range) => match range.resolve(content.len() as u64) {
                Ok(expected) => expected,
                Err(_) => return assert!(matches!(got, Err(Error::InvalidRange { .. })), "{got:?}"),
            },
        };
        let object = got.unwrap();
        assert_eq!((&object.meta.etag, &object.range), (tag, &expected));
        let read = collect(object.body, 1000).await.unwrap();
        assert_eq!(read, &content[expected.start as usize..expected.end as usize]);
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) {
        let page = self.store.list(prefix, after, limit).await.unwrap();
        let all: Vec<(&String, &String)> = self
            .model
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            .map(|(key, (_, tag))| (key, tag))
            .collect();
        let got: Vec<(String, &String)> =
            page.objects.iter().map(|entry| (entry.key.to_string(), &entry.etag)).collect();
        let expected: Vec<(String, &String)> =
            all.iter().take(limit).map(|(key, tag)| ((*key).clone(), *tag)).collect();
        assert_eq!(got, expected, "prefix {prefix:?} after {after:?}");
        assert_eq!(page.next.is_some(), all.len() > limit);
    }
}

fn open(root: &tempfile::TempDir) -> Arc<dyn ObjectStore> {
    Arc::new(Local::open(LocalOptions { root: root.path().to_owned(), on_sync: None }).unwrap())
}

fn object_key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

fn run(mut subject: Subject, ops: Vec<Op>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for op in ops {
            subject.apply(op).await;
        }
        subject.list("", None, 10_000).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn local_is_a_map(ops in prop::collection::vec(op(), 1..40)) {
        run(Subject::local(), ops);
    }

    #[test]
    fn memory_is_a_map(ops in prop::collection::vec(op(), 1..40)) {
        run(Subject::memory(), ops);
    }
}
