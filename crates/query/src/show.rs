//! SHOW TABLES: the catalog's list of datasets, as a statement that gives it.

use crate::{
    Snapshot,
    worker::{identifier, literal},
};

/// A statement that lists the datasets; `expanded` with their columns and types.
pub(crate) fn tables(snapshot: &Snapshot, expanded: bool) -> String {
    let columns: &[(&str, &str)] = if expanded {
        &[("name", "VARCHAR"), ("column_names", "VARCHAR[]"), ("column_types", "VARCHAR[]"), ("rows", "UBIGINT")]
    } else {
        &[("name", "VARCHAR")]
    };
    let datasets = snapshot.sorted();
    let list = |texts: Vec<&str>| {
        let texts: Vec<String> = texts.into_iter().map(literal).collect();
        format!("[{}]", texts.join(", "))
    };
    let mut rows: Vec<String> = Vec::with_capacity(datasets.len());
    for dataset in datasets {
        let name = literal(dataset.name.as_str());
        rows.push(if expanded {
            let names = list(dataset.schema.iter().map(|column| column.name.as_str()).collect());
            let types = list(dataset.schema.iter().map(|column| column.sql_type.as_str()).collect());
            format!("({name}, {names}, {types}, {})", dataset.rows)
        } else {
            format!("({name})")
        });
    }
    // A list without rows still has columns with types.
    let nulls = vec!["NULL"; columns.len()].join(", ");
    let values = if rows.is_empty() { format!("({nulls})") } else { rows.join(", ") };
    let names: Vec<String> = columns.iter().map(|(name, _)| identifier(name)).collect();
    let casts: Vec<String> =
        columns.iter().map(|(name, ty)| format!("CAST({0} AS {ty}) AS {0}", identifier(name))).collect();
    format!(
        "SELECT {} FROM (VALUES {values}) AS datasets({}) WHERE name IS NOT NULL ORDER BY name",
        casts.join(", "),
        names.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Snapshot;

    #[test]
    fn an_empty_catalog_gives_an_empty_list() {
        let sql = tables(&Snapshot::default(), false);
        assert_eq!(
            sql,
            "SELECT CAST(\"name\" AS VARCHAR) AS \"name\" FROM (VALUES (NULL)) AS datasets(\"name\") \
             WHERE name IS NOT NULL ORDER BY name"
        );
    }
}
