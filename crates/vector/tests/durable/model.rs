//! What the registry must look like: plain maps.

use std::collections::BTreeMap;

use lakehouse_types::vector::{Distance, MergeResponse};
use lakehouse_vector::Registry;

/// One item: its vector and its metadata.
pub(crate) type Stored = (Vec<f32>, Option<String>);

/// One index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Data {
    pub(crate) distance: Distance,
    pub(crate) items: BTreeMap<String, Stored>,
}

/// What may stand under a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    /// As this process must see it.
    pub(crate) now: Option<Data>,
    /// As a later process may see it too: what a refused call, whose outcome the store kept to
    /// itself, would have made of it.
    pub(crate) perhaps: Vec<Option<Data>>,
}

impl Expected {
    pub(crate) const fn nothing() -> Self {
        Self { now: None, perhaps: Vec::new() }
    }

    /// Every state that may be the true one.
    pub(crate) fn possible(&self) -> Vec<Option<Data>> {
        std::iter::once(&self.now).chain(&self.perhaps).cloned().collect()
    }

    /// A call succeeded: whatever was in doubt before it is settled.
    pub(crate) fn becomes(&mut self, now: Option<Data>) {
        self.now = now;
        self.perhaps.clear();
    }
}

impl Data {
    pub(crate) fn add(&mut self, items: &[(String, Stored)], replace: bool) -> (u64, u64) {
        let (mut added, mut updated) = (0, 0);
        for (id, (vector, metadata)) in items {
            match self.items.get_mut(id) {
                Some(old) if replace => {
                    let metadata = metadata.clone().or_else(|| old.1.take()).filter(|text| text != "{}");
                    *old = (vector.clone(), metadata);
                    updated += 1;
                }
                Some(_) => updated += 1,
                None => {
                    let metadata = metadata.clone().filter(|text| text != "{}");
                    self.items.insert(id.clone(), (vector.clone(), metadata));
                    added += 1;
                }
            }
        }
        (added, updated)
    }

    pub(crate) fn delete(&mut self, ids: &[String]) -> u64 {
        ids.iter().filter(|id| self.items.remove(*id).is_some()).count() as u64
    }
}

/// What a merge leaves in the destination and in the source, and what it answers.
pub(crate) fn merged(from: &Data, to: &Data, clear: bool) -> (Data, Data, MergeResponse) {
    let (mut dest, mut source) = (to.clone(), from.clone());
    let items: Vec<_> = from.items.clone().into_iter().collect();
    let (merged, skipped) = dest.add(&items, false);
    let mut answer = MergeResponse { merged, skipped, ..MergeResponse::default() };
    if clear {
        source.items.retain(|id, stored| dest.items.get(id) != Some(stored));
        answer.kept = source.items.len() as u64;
        answer.cleared = (from.items.len() - source.items.len()) as u64;
    }
    (dest, source, answer)
}

/// What a clearing merge may leave in source and destination wherever it is cut off. It copies `read`,
/// what its process saw; `left` is what the source turns out to have been once a call in doubt is
/// settled. Whatever is in `left` stays there unless the destination has the very same.
pub(crate) fn stages_of_a_merge(
    read: &Data,
    left: &Option<Data>,
    to: &Option<Data>,
) -> Vec<(Option<Data>, Option<Data>)> {
    let mut stages = vec![(left.clone(), to.clone())];
    if let Some(dest) = to
        && dest.distance == read.distance
    {
        let (dest, ..) = merged(read, dest, false);
        stages.push((left.clone(), Some(dest.clone())));
        if let Some(mut cleared) = left.clone() {
            cleared.items.retain(|id, stored| dest.items.get(id) != Some(stored));
            stages.push((Some(cleared), Some(dest)));
        }
    }
    stages
}

/// What is really there under a name.
pub(crate) fn actual(registry: &Registry, name: &str, ids: &[String]) -> Option<Data> {
    let info = registry.info(name).ok()?;
    let items: BTreeMap<String, Stored> = ids
        .iter()
        .filter_map(|id| registry.get(name, id).ok())
        .map(|item| (item.id, (item.vector, item.metadata.map(|text| text.get().to_owned()))))
        .collect();
    assert_eq!(info.count as usize, items.len(), "index {name} has items that nobody added");
    Some(Data { distance: info.distance, items })
}

pub(crate) fn distance(kind: Distance, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    match kind {
        Distance::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
        Distance::L2 => a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum::<f64>().sqrt(),
        Distance::Dot => -dot(a, b),
    }
}
