use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use lakehouse_types::{Name, catalog::Manifest};

use crate::Error;

/// Where the datasets are known.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// All datasets as they are at some moment after this call began: what was acknowledged
    /// before it is in there. Cheap where nothing has changed.
    ///
    /// # Errors
    /// [`Error::Dependency`] where the catalog can't be asked.
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Error>;
}

/// The datasets at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// By folded name.
    datasets: HashMap<String, Arc<Manifest>>,
    /// Folded names of those that the catalog can't read.
    damaged: HashSet<String>,
}

impl Snapshot {
    /// A snapshot with these datasets.
    #[must_use]
    pub fn new(manifests: impl IntoIterator<Item = Manifest>) -> Self {
        Self::default().with(manifests)
    }

    /// The next snapshot: exactly `manifests`, where those that are as before stay shared with
    /// this one.
    #[must_use]
    pub fn with(&self, manifests: impl IntoIterator<Item = Manifest>) -> Self {
        let share = |manifest: Manifest| {
            let folded = manifest.name.folded();
            let same = self.datasets.get(&folded).filter(|known| ***known == manifest);
            let manifest = same.map_or_else(|| Arc::new(manifest), Arc::clone);
            (folded, manifest)
        };
        Self { datasets: manifests.into_iter().map(share).collect(), damaged: HashSet::new() }
    }

    /// The same, beside datasets that the catalog can't read, by their folded names.
    #[must_use]
    pub fn beside_damaged(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { damaged: names.into_iter().collect(), ..self }
    }

    /// Is `name` a dataset that the catalog can't read?
    #[must_use]
    pub fn is_damaged(&self, name: &str) -> bool {
        Name::new(name).is_ok_and(|name| self.damaged.contains(&name.folded()))
    }

    /// The dataset that SQL means by `name`, in whatever case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Manifest>> {
        // What is no valid name can't be a dataset's.
        self.datasets.get(&Name::new(name).ok()?.folded())
    }

    /// All datasets, sorted by name.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Arc<Manifest>> {
        let mut all: Vec<_> = self.datasets.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Up to three datasets with a name much like `name`, the nearest first.
    pub(crate) fn similar(&self, name: &str) -> Vec<String> {
        if name.len() > Name::MAX_BYTES {
            return Vec::new();
        }
        let wanted = name.to_lowercase();
        // A third of the letters may differ; beyond that the guess is no help.
        let furthest = wanted.chars().count() / 3;
        let mut near: Vec<(usize, &str)> = self
            .datasets
            .iter()
            .map(|(folded, manifest)| (distance(&wanted, folded), manifest.name.as_str()))
            .filter(|(distance, _)| *distance <= furthest)
            .collect();
        near.sort_unstable();
        near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
    }
}

/// Letters to change, add or remove between `a` and `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, version: u64) -> Manifest {
        Manifest {
            name: Name::new(name).unwrap(),
            version,
            schema_fingerprint: String::new(),
            schema: Vec::new(),
            objects: Vec::new(),
            rows: 0,
            bytes: 0,
            created_ms: 0,
            updated_ms: 0,
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        let snapshot = Snapshot::new([manifest("Zürich", 1), manifest("O'Brien's data", 1)]);
        assert!(snapshot.get("ZÜRICH").is_some() && snapshot.get("o'brien's DATA").is_some());
        assert!(snapshot.get("zurich").is_none() && snapshot.get("").is_none() && snapshot.get("a/b").is_none());
        let names: Vec<_> = snapshot.sorted().iter().map(|manifest| manifest.name.to_string()).collect();
        assert_eq!(names, ["O'Brien's data", "Zürich"]);
    }

    #[test]
    fn unchanged_manifests_stay_shared() {
        let first = Snapshot::new([manifest("a", 1), manifest("b", 1)]);
        let second = first.with([manifest("a", 1), manifest("b", 2)]);
        let same = |name| Arc::ptr_eq(first.get(name).unwrap(), second.get(name).unwrap());
        assert!(same("a") && !same("b"));
        assert!(first.with([]).get("a").is_none());
    }

    #[test]
    fn similar_names_are_near_ones() {
        let snapshot = Snapshot::new([manifest("weather", 1), manifest("zipcodes", 1)]);
        assert_eq!(snapshot.similar("wether"), ["weather"]);
        assert_eq!(snapshot.similar("ZIPCODE"), ["zipcodes"]);
        assert!(snapshot.similar("news").is_empty());
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
