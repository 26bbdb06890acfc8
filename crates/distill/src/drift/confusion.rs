use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::score::Category;

/// How often runs that were stored as one category are now scored as another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confusion(BTreeMap<(Category, Category), u64>);

impl Confusion {
    /// Counts one run.
    pub fn add(&mut self, stored: Category, rescored: Category) {
        *self.0.entry((stored, rescored)).or_default() += 1;
    }

    /// How often `stored` became `rescored`.
    #[must_use]
    pub fn count(&self, stored: Category, rescored: Category) -> u64 {
        self.0.get(&(stored, rescored)).copied().unwrap_or(0)
    }

    /// All runs counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Runs whose category changed.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.0.iter().filter(|((stored, rescored), _)| stored != rescored).map(|(_, n)| n).sum()
    }

    /// The changed part, 0..=1; 0 when nothing was counted.
    #[must_use]
    pub fn drift(&self) -> f64 {
        if self.total() == 0 { 0.0 } else { self.changed() as f64 / self.total() as f64 }
    }
}

/// Stored category -> rescored category -> count, with every cell, so that two tables compare by eye.
impl Serialize for Confusion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_map(Some(Category::ALL.len()))?;
        for stored in Category::ALL {
            let row: BTreeMap<_, _> = Category::ALL.map(|now| (now.name(), self.count(stored, now))).into();
            table.serialize_entry(stored.name(), &row)?;
        }
        table.end()
    }
}
