use super::list::{split, unquote};
use crate::{Error, schema::ColumnType};

/// A type that the caller declares for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeOverride {
    /// The column's name, as it is after renaming.
    pub column: String,
    /// Its type.
    pub column_type: ColumnType,
}

/// Parses `col:type,"other, col":decimal(10,2),...`. A name may stand in double quotes, inside of
/// which a doubled quote is one; without them it ends at the last `:` before the next comma.
///
/// # Errors
/// [`Error::Invalid`] names the part that can't be read.
pub fn parse_types(text: &str) -> Result<Vec<TypeOverride>, Error> {
    let mut all: Vec<TypeOverride> = Vec::new();
    for part in split(text, true) {
        let part = part.trim();
        let unreadable = || Error::Invalid(format!("`types` is `column:type,...`; {part:?} is not of that form"));
        let (name, ty) = part.rsplit_once(':').ok_or_else(unreadable)?;
        let name = unquote(name.trim()).ok_or_else(unreadable)?;
        if name.is_empty() {
            return Err(unreadable());
        }
        if all.iter().any(|other| other.column == name) {
            return Err(Error::Invalid(format!("`types` has column `{name}` twice")));
        }
        all.push(TypeOverride { column: name, column_type: parse_type(ty)? });
    }
    Ok(all)
}

fn parse_type(text: &str) -> Result<ColumnType, Error> {
    let name = text.trim().to_ascii_lowercase();
    let words: Vec<&str> = name.split_ascii_whitespace().collect();
    Ok(match words.join(" ").as_str() {
        "boolean" | "bool" => ColumnType::Boolean,
        "bigint" | "int" | "integer" | "int64" | "long" => ColumnType::BigInt,
        "double" | "float" | "float64" | "real" | "double precision" => ColumnType::Double,
        "date" => ColumnType::Date,
        "time" => ColumnType::Time,
        "timestamp" | "datetime" => ColumnType::Timestamp,
        "timestamptz" | "timestamp with time zone" => ColumnType::TimestampTz,
        "varchar" | "text" | "string" => ColumnType::Varchar,
        other => parse_decimal_type(other).ok_or_else(|| {
            Error::Invalid(format!(
                "`types` knows boolean, bigint, double, decimal(p,s), date, time, timestamp, timestamptz and varchar; not {text:?}"
            ))
        })?,
    })
}

fn parse_decimal_type(name: &str) -> Option<ColumnType> {
    let inner = name.strip_prefix("decimal").or_else(|| name.strip_prefix("numeric"))?.trim();
    let (precision, scale) = inner.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision) && scale <= precision).then_some(ColumnType::Decimal { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<(String, ColumnType)> {
        parse_types(text).unwrap().into_iter().map(|ty| (ty.column, ty.column_type)).collect()
    }

    #[test]
    fn names_may_hold_anything() {
        let decimal = ColumnType::Decimal { precision: 10, scale: 2 };
        assert_eq!(
            parse("a:bigint, price:decimal(10, 2),\"x, y: \"\"z\"\"\":text,t:Timestamp  With Time Zone,a:b:date"),
            [
                ("a".to_owned(), ColumnType::BigInt),
                ("price".to_owned(), decimal),
                ("x, y: \"z\"".to_owned(), ColumnType::Varchar),
                ("t".to_owned(), ColumnType::TimestampTz),
                ("a:b".to_owned(), ColumnType::Date),
            ]
        );
    }

    #[test]
    fn every_printed_type_is_read_back() {
        for ty in [
            ColumnType::Boolean,
            ColumnType::BigInt,
            ColumnType::Decimal { precision: 38, scale: 0 },
            ColumnType::Double,
            ColumnType::Date,
            ColumnType::Time,
            ColumnType::Timestamp,
            ColumnType::TimestampTz,
            ColumnType::Varchar,
        ] {
            assert_eq!(parse(&format!("c:{ty}")), [("c".to_owned(), ty)]);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for bad in
            ["", "a", "a:", ":int", "a:int,", "a:int,a:text", "a:uuid", "a:decimal(39,0)", "a:decimal(2,3)", "\"a:int"]
        {
            let error = parse_types(bad).unwrap_err().to_string();
            assert!(error.contains("types"), "{bad:?}: {error}");
        }
    }
}
