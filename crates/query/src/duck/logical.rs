use std::{collections::HashSet, ffi::c_char, fmt::Write as _};

use duckdb::ffi;

use super::{Failure, failure};

/// A column's type, with everything that reading and naming its values takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    HugeInt,
    UTinyInt,
    USmallInt,
    UInteger,
    UBigInt,
    UHugeInt,
    BigNum,
    Float,
    Double,
    Decimal {
        width: u8,
        scale: u8,
    },
    Varchar,
    Json,
    Blob,
    Bit,
    Uuid,
    Geometry,
    Date,
    Time,
    TimeNs,
    TimeTz,
    Timestamp,
    TimestampS,
    TimestampMs,
    TimestampNs,
    TimestampTz,
    Interval,
    Enum(Vec<String>),
    List(Box<Type>),
    Array(Box<Type>, usize),
    /// Fields without names are those of `row(..)`.
    Struct(Vec<(String, Type)>),
    Map(Box<Type>, Box<Type>),
    Union(Vec<(String, Type)>),
}

/// DuckDB's key words: a field whose name is one stands quoted in the name of its type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keywords(HashSet<String>);

impl FromIterator<String> for Keywords {
    fn from_iter<I: IntoIterator<Item = String>>(words: I) -> Self {
        Self(words.into_iter().collect())
    }
}

/// Owns a logical type of the C interface.
struct Raw(ffi::duckdb_logical_type);

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: this is the only owner, and destroying null does nothing.
        unsafe { ffi::duckdb_destroy_logical_type(&raw mut self.0) };
    }
}

impl Type {
    /// Reads a type and frees it.
    ///
    /// # Safety
    /// `raw` is null or a logical type that nobody else frees.
    pub(super) unsafe fn take(raw: ffi::duckdb_logical_type) -> Result<Self, Failure> {
        let raw = Raw(raw);
        if raw.0.is_null() {
            return Err(Failure::sql("a result column has no type"));
        }
        // SAFETY: `raw` is alive until this returns.
        unsafe { Self::read(raw.0) }
    }

    /// # Safety
    /// `raw` is a live logical type. Children it hands out are owned, and `take` frees them.
    unsafe fn read(raw: ffi::duckdb_logical_type) -> Result<Self, Failure> {
        // SAFETY: the caller's promise; each call below suits the type id it stands under.
        unsafe {
            Ok(match ffi::duckdb_get_type_id(raw) {
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_DECIMAL => {
                    Self::Decimal { width: ffi::duckdb_decimal_width(raw), scale: ffi::duckdb_decimal_scale(raw) }
                }
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARCHAR => {
                    let alias = owned_text(ffi::duckdb_logical_type_get_alias(raw));
                    if alias == "JSON" { Self::Json } else { Self::Varchar }
                }
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_ENUM => {
                    let value = |index| owned_text(ffi::duckdb_enum_dictionary_value(raw, index));
                    Self::Enum((0..u64::from(ffi::duckdb_enum_dictionary_size(raw))).map(value).collect())
                }
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_LIST => {
                    Self::List(Box::new(Self::take(ffi::duckdb_list_type_child_type(raw))?))
                }
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_ARRAY => Self::Array(
                    Box::new(Self::take(ffi::duckdb_array_type_child_type(raw))?),
                    ffi::duckdb_array_type_array_size(raw) as usize,
                ),
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_MAP => Self::Map(
                    Box::new(Self::take(ffi::duckdb_map_type_key_type(raw))?),
                    Box::new(Self::take(ffi::duckdb_map_type_value_type(raw))?),
                ),
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_STRUCT => {
                    let mut fields = Vec::new();
                    for index in 0..ffi::duckdb_struct_type_child_count(raw) {
                        let name = owned_text(ffi::duckdb_struct_type_child_name(raw, index));
                        fields.push((name, Self::take(ffi::duckdb_struct_type_child_type(raw, index))?));
                    }
                    Self::Struct(fields)
                }
                ffi::DUCKDB_TYPE_DUCKDB_TYPE_UNION => {
                    let mut members = Vec::new();
                    for index in 0..ffi::duckdb_union_type_member_count(raw) {
                        let name = owned_text(ffi::duckdb_union_type_member_name(raw, index));
                        members.push((name, Self::take(ffi::duckdb_union_type_member_type(raw, index))?));
                    }
                    Self::Union(members)
                }
                id => Self::plain(id)?,
            })
        }
    }

    /// A type that its id says all of.
    fn plain(id: ffi::duckdb_type) -> Result<Self, Failure> {
        Ok(match id {
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_SQLNULL => Self::Null,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_BOOLEAN => Self::Boolean,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TINYINT => Self::TinyInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_SMALLINT => Self::SmallInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_INTEGER => Self::Integer,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIGINT => Self::BigInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_HUGEINT => Self::HugeInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_UTINYINT => Self::UTinyInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_USMALLINT => Self::USmallInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_UINTEGER => Self::UInteger,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_UBIGINT => Self::UBigInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_UHUGEINT => Self::UHugeInt,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIGNUM => Self::BigNum,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_FLOAT => Self::Float,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_DOUBLE => Self::Double,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_BLOB => Self::Blob,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_BIT => Self::Bit,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_UUID => Self::Uuid,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_GEOMETRY => Self::Geometry,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_DATE => Self::Date,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIME => Self::Time,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIME_NS => Self::TimeNs,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIME_TZ => Self::TimeTz,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP => Self::Timestamp,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_S => Self::TimestampS,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_MS => Self::TimestampMs,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_NS => Self::TimestampNs,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_TIMESTAMP_TZ => Self::TimestampTz,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_INTERVAL => Self::Interval,
            ffi::DUCKDB_TYPE_DUCKDB_TYPE_VARIANT => {
                return Err(Failure::sql("VARIANT has no form in an answer: cast it to VARCHAR or JSON"));
            }
            other => {
                return Err(Failure::sql(format!("a result column has a type unknown to this service (id {other})")));
            }
        })
    }

    /// DuckDB's own name of the type, as `typeof` gives it.
    pub(crate) fn name(&self, keywords: &Keywords) -> String {
        let mut name = String::new();
        self.write_name(keywords, &mut name);
        name
    }

    fn write_name(&self, keywords: &Keywords, out: &mut String) {
        match self {
            Self::Decimal { width, scale } => {
                // Writing to a string can't fail.
                let _ = write!(out, "DECIMAL({width},{scale})");
            }
            Self::Enum(values) => {
                let values: Vec<String> =
                    values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
                let _ = write!(out, "ENUM({})", values.join(", "));
            }
            Self::List(child) => {
                child.write_name(keywords, out);
                out.push_str("[]");
            }
            Self::Array(child, size) => {
                child.write_name(keywords, out);
                let _ = write!(out, "[{size}]");
            }
            Self::Map(key, value) => {
                out.push_str("MAP(");
                key.write_name(keywords, out);
                out.push_str(", ");
                value.write_name(keywords, out);
                out.push(')');
            }
            Self::Struct(fields) => write_fields("STRUCT", fields, keywords, out),
            Self::Union(members) => write_fields("UNION", members, keywords, out),
            plain => out.push_str(plain.plain_name()),
        }
    }

    fn plain_name(&self) -> &'static str {
        match self {
            Self::Null => "\"NULL\"",
            Self::Boolean => "BOOLEAN",
            Self::TinyInt => "TINYINT",
            Self::SmallInt => "SMALLINT",
            Self::Integer => "INTEGER",
            Self::BigInt => "BIGINT",
            Self::HugeInt => "HUGEINT",
            Self::UTinyInt => "UTINYINT",
            Self::USmallInt => "USMALLINT",
            Self::UInteger => "UINTEGER",
            Self::UBigInt => "UBIGINT",
            Self::UHugeInt => "UHUGEINT",
            Self::BigNum => "BIGNUM",
            Self::Float => "FLOAT",
            Self::Double => "DOUBLE",
            Self::Varchar => "VARCHAR",
            Self::Json => "JSON",
            Self::Blob => "BLOB",
            Self::Bit => "BIT",
            Self::Uuid => "UUID",
            Self::Geometry => "GEOMETRY",
            Self::Date => "DATE",
            Self::Time => "TIME",
            Self::TimeNs => "TIME_NS",
            Self::TimeTz => "TIME WITH TIME ZONE",
            Self::Timestamp => "TIMESTAMP",
            Self::TimestampS => "TIMESTAMP_S",
            Self::TimestampMs => "TIMESTAMP_MS",
            Self::TimestampNs => "TIMESTAMP_NS",
            Self::TimestampTz => "TIMESTAMP WITH TIME ZONE",
            Self::Interval => "INTERVAL",
            Self::Decimal { .. } => "DECIMAL",
            Self::Enum(_) => "ENUM",
            Self::List(_) => "LIST",
            Self::Array(..) => "ARRAY",
            Self::Struct(_) => "STRUCT",
            Self::Map(..) => "MAP",
            Self::Union(_) => "UNION",
        }
    }
}

fn write_fields(kind: &str, fields: &[(String, Type)], keywords: &Keywords, out: &mut String) {
    out.push_str(kind);
    out.push('(');
    for (index, (name, field)) in fields.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        if !name.is_empty() {
            write_identifier(name, keywords, out);
            out.push(' ');
        }
        field.write_name(keywords, out);
    }
    out.push(')');
}

fn write_identifier(name: &str, keywords: &Keywords, out: &mut String) {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && !keywords.0.contains(&name.to_ascii_lowercase());
    if plain {
        out.push_str(name);
    } else {
        // Writing to a string can't fail.
        let _ = write!(out, "\"{}\"", name.replace('"', "\"\""));
    }
}

/// Copies and frees a string that DuckDB made for the caller; null is the empty string.
///
/// # Safety
/// `raw` is null or a C string that nobody else frees.
unsafe fn owned_text(raw: *mut c_char) -> String {
    // SAFETY: the caller's promise; the text is copied before it is freed.
    unsafe {
        let text = failure::text(raw).unwrap_or_default();
        if !raw.is_null() {
            ffi::duckdb_free(raw.cast());
        }
        text
    }
}
