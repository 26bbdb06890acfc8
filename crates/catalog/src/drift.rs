use std::{collections::HashMap, fmt};

use lakehouse_types::catalog::Column;
use serde::Serialize;

/// How an offered schema differs from the registered one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The columns that differ; empty where only the fingerprints do.
    pub columns: Vec<ColumnChange>,
    /// The fingerprint of the registered schema.
    pub registered_fingerprint: String,
    /// The fingerprint of the offered schema.
    pub offered_fingerprint: String,
}

/// One column that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChange {
    /// The column's name.
    pub name: String,
    /// Its type in the registered schema; null where it has no such column.
    pub registered: Option<String>,
    /// Its type in the offered schema; null where it has no such column.
    pub offered: Option<String>,
    /// Its 0-based position in the registered schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered_position: Option<usize>,
    /// Its 0-based position in the offered schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered_position: Option<usize>,
}

impl Drift {
    /// Compares both fingerprint and columns: neither may differ, whatever the other says.
    /// `None` where the schemas are the same.
    pub(crate) fn between(
        (registered, registered_fingerprint): (&[Column], &str),
        (offered, offered_fingerprint): (&[Column], &str),
    ) -> Option<Self> {
        let columns = changes(registered, offered);
        (!columns.is_empty() || registered_fingerprint != offered_fingerprint).then(|| Self {
            columns,
            registered_fingerprint: registered_fingerprint.to_owned(),
            offered_fingerprint: offered_fingerprint.to_owned(),
        })
    }
}

/// In the order of the registered schema, then what is only in the offered one. A column counts as
/// moved only when the schemas have the same columns: after an insertion every later one "moves",
/// and naming them all would hide the one that matters.
fn changes(registered: &[Column], offered: &[Column]) -> Vec<ColumnChange> {
    let places = |columns: &[Column]| -> HashMap<String, usize> {
        columns.iter().enumerate().map(|(position, column)| (column.name.clone(), position)).collect()
    };
    let (old_places, new_places) = (places(registered), places(offered));
    let same_names =
        old_places.len() == new_places.len() && old_places.keys().all(|name| new_places.contains_key(name));
    let mut changes = Vec::new();
    for (position, column) in registered.iter().enumerate() {
        let new_position = new_places.get(&column.name).copied();
        let new = new_position.and_then(|position| offered.get(position));
        let moved = same_names && new_position != Some(position);
        if moved || new.is_none_or(|new| new.sql_type != column.sql_type) {
            changes.push(change(Some((position, column)), new_position.zip(new)));
        }
    }
    for (position, column) in offered.iter().enumerate() {
        if !old_places.contains_key(&column.name) {
            changes.push(change(None, Some((position, column))));
        }
    }
    changes
}

fn change(registered: Option<(usize, &Column)>, offered: Option<(usize, &Column)>) -> ColumnChange {
    let sql_type = |side: Option<(usize, &Column)>| side.map(|(_, column)| column.sql_type.clone());
    ColumnChange {
        name: registered.or(offered).map(|(_, column)| column.name.clone()).unwrap_or_default(),
        registered: sql_type(registered),
        offered: sql_type(offered),
        registered_position: registered.map(|(position, _)| position),
        offered_position: offered.map(|(position, _)| position),
    }
}

/// More columns than this are counted, not named: the body has them all.
const NAMED: usize = 5;

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.columns.is_empty() {
            let (old, new) = (&self.registered_fingerprint, &self.offered_fingerprint);
            return write!(f, "the columns are the same, but the schema fingerprint is `{old}`, not `{new}`");
        }
        for (i, change) in self.columns.iter().take(NAMED).enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{change}")?;
        }
        match self.columns.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl fmt::Display for ColumnChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.registered, &self.offered) {
            (Some(old), Some(new)) if old != new => write!(f, "column `{name}` is {old}, not {new}"),
            (Some(_), Some(_)) => {
                let place = |position: Option<usize>| position.map_or(0, |position| position + 1);
                let (old, new) = (place(self.registered_position), place(self.offered_position));
                write!(f, "column `{name}` is number {old}, not {new}")
            }
            (Some(_), None) => write!(f, "column `{name}` is missing"),
            (None, _) => write!(f, "column `{name}` is new"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Vec<Column> {
        let column = |part: &str| {
            let (name, sql_type) = part.split_once(':').unwrap();
            Column { name: name.into(), sql_type: sql_type.into() }
        };
        text.split(' ').map(column).collect()
    }

    fn told(old: &str, new: &str) -> String {
        let (old, new) = (columns(old), columns(new));
        Drift::between((&old, "f"), (&new, "f")).map_or_else(String::new, |drift| drift.to_string())
    }

    #[test]
    fn each_kind_of_difference_is_named() {
        assert_eq!(told("a:INT b:TEXT", "a:INT b:TEXT"), "");
        assert_eq!(told("a:INT b:TEXT", "a:INT b:DATE"), "column `b` is TEXT, not DATE");
        assert_eq!(told("a:INT b:TEXT", "a:INT"), "column `b` is missing");
        assert_eq!(told("a:INT", "x:INT a:INT"), "column `x` is new");
        assert_eq!(
            told("a:INT b:TEXT", "b:TEXT a:INT"),
            "column `a` is number 1, not 2; column `b` is number 2, not 1"
        );
        assert_eq!(told("a:INT", "A:INT"), "column `a` is missing; column `A` is new");
        assert_eq!(
            told("a:I b:I c:I d:I e:I f:I g:I", "z:I"),
            "column `a` is missing; column `b` is missing; column `c` is missing; column `d` is missing; \
             column `e` is missing; and 3 more"
        );
    }

    #[test]
    fn a_fingerprint_alone_is_drift_too() {
        let same = columns("a:INT");
        let drift = Drift::between((&same, "f1"), (&same, "f2")).unwrap();
        assert!(drift.columns.is_empty());
        assert!(drift.to_string().contains("`f1`, not `f2`"), "{drift}");
    }

    #[test]
    fn the_body_has_types_and_positions() {
        let (old, new) = (columns("a:INT b:TEXT"), columns("a:INT c:DATE"));
        let drift = Drift::between((&old, "f1"), (&new, "f2")).unwrap();
        let body = serde_json::to_value(&drift.columns).unwrap();
        assert_eq!(
            body,
            serde_json::json!([
                { "name": "b", "registered": "TEXT", "offered": null, "registered_position": 1 },
                { "name": "c", "registered": null, "offered": "DATE", "offered_position": 1 },
            ])
        );
    }
}
