use std::fmt;

use lakehouse_types::catalog::Column;
use sha2::{Digest as _, Sha256};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `true` or `false`.
    Boolean,
    /// 64-bit integers.
    BigInt,
    /// Exact decimals of `precision` digits, `scale` of them after the point.
    Decimal {
        /// 1..=38.
        precision: u8,
        /// 0..=precision.
        scale: u8,
    },
    /// IEEE doubles.
    Double,
    /// Days.
    Date,
    /// Time of day, in microseconds.
    Time,
    /// Local date and time, in microseconds.
    Timestamp,
    /// An instant, in microseconds UTC.
    TimestampTz,
    /// Text.
    Varchar,
}

impl ColumnType {
    /// Integers past 64 bits land here.
    pub(crate) const HUGE_INTEGER: Self = Self::Decimal { precision: 38, scale: 0 };
}

/// The SQL name.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::BigInt => f.write_str("BIGINT"),
            Self::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            Self::Double => f.write_str("DOUBLE"),
            Self::Date => f.write_str("DATE"),
            Self::Time => f.write_str("TIME"),
            Self::Timestamp => f.write_str("TIMESTAMP"),
            Self::TimestampTz => f.write_str("TIMESTAMP WITH TIME ZONE"),
            Self::Varchar => f.write_str("VARCHAR"),
        }
    }
}

/// The columns as the catalog knows them.
pub(crate) fn catalog_columns(names: &[String], types: &[ColumnType]) -> Vec<Column> {
    names.iter().zip(types).map(|(name, ty)| Column { name: name.clone(), sql_type: ty.to_string() }).collect()
}

/// SHA-256 (hex) over names, types and order of the columns: equal exactly for equal schemas.
#[must_use]
pub fn schema_fingerprint(columns: &[Column]) -> String {
    let mut hash = Sha256::new();
    for column in columns {
        // Lengths in front keep ("ab", "c") and ("a", "bc") apart.
        for part in [&column.name, &column.sql_type] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    hex::encode(hash.finalize())
}
