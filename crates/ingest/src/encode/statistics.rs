//! The smallest and the largest value of a column chunk, for whoever prunes by them.

use parquet::{
    data_type::{ByteArray, FixedLenByteArray},
    file::statistics::{Statistics, ValueStatistics},
};

use crate::schema::ColumnType;

/// Bounds as far as they are known.
#[derive(Debug)]
pub(super) enum Bounds {
    Boolean(Option<(bool, bool)>),
    Integer(Option<(i64, i64)>),
    Huge(Option<(i128, i128)>),
    Double {
        bounds: Option<(f64, f64)>,
        /// With one of these no bound is written: readers disagree on where it sorts.
        has_nan: bool,
    },
    Text(Option<(Vec<u8>, Vec<u8>)>),
}

/// The longest text that is kept as a bound, in bytes; longer ones are cut to a bound that holds.
const LONGEST_BOUND: usize = 64;

impl Bounds {
    pub(super) const fn new(ty: ColumnType) -> Self {
        match ty {
            ColumnType::Boolean => Self::Boolean(None),
            ColumnType::Decimal { .. } => Self::Huge(None),
            ColumnType::Double => Self::Double { bounds: None, has_nan: false },
            ColumnType::Varchar => Self::Text(None),
            ColumnType::BigInt
            | ColumnType::Date
            | ColumnType::Time
            | ColumnType::Timestamp
            | ColumnType::TimestampTz => Self::Integer(None),
        }
    }

    pub(super) fn add_boolean(&mut self, value: bool) {
        if let Self::Boolean(bounds) = self {
            widen(bounds, value);
        }
    }

    #[inline]
    pub(super) fn add_integers(&mut self, values: impl Iterator<Item = i64>) {
        if let Self::Integer(bounds) = self {
            values.for_each(|value| widen(bounds, value));
        }
    }

    pub(super) fn add_huge(&mut self, value: i128) {
        if let Self::Huge(bounds) = self {
            widen(bounds, value);
        }
    }

    #[inline]
    pub(super) fn add_doubles(&mut self, values: impl Iterator<Item = f64>) {
        if let Self::Double { bounds, has_nan } = self {
            for value in values {
                if value.is_nan() {
                    *has_nan = true;
                } else {
                    widen(bounds, value);
                }
            }
        }
    }

    #[inline]
    pub(super) fn add_text(&mut self, value: &[u8]) {
        if let Self::Text(bounds) = self {
            match bounds {
                None => *bounds = Some((value.to_vec(), value.to_vec())),
                Some((least, most)) => {
                    if value < least.as_slice() {
                        value.clone_into(least);
                    } else if value > most.as_slice() {
                        value.clone_into(most);
                    }
                }
            }
        }
    }

    /// What goes into the footer.
    pub(super) fn finish(self, ty: ColumnType, nulls: u64, distinct: Option<u64>) -> Statistics {
        match self {
            Self::Boolean(bounds) => plain(bounds, nulls, distinct),
            Self::Integer(bounds) if ty == ColumnType::Date => {
                let narrow = |value| i32::try_from(value).ok();
                plain(bounds.and_then(|(least, most)| Some((narrow(least)?, narrow(most)?))), nulls, distinct)
            }
            Self::Integer(bounds) => plain(bounds, nulls, distinct),
            Self::Huge(bounds) => {
                let bytes = |value: i128| FixedLenByteArray::from(value.to_be_bytes().to_vec());
                plain(bounds.map(|(least, most)| (bytes(least), bytes(most))), nulls, distinct)
            }
            Self::Double { bounds, has_nan } => {
                // By the letter of the format a zero bound covers both zeros.
                let sign = |(least, most): (f64, f64)| {
                    (if least == 0.0 { -0.0 } else { least }, if most == 0.0 { 0.0 } else { most })
                };
                plain(bounds.filter(|_| !has_nan).map(sign), nulls, distinct)
            }
            Self::Text(bounds) => text(bounds, nulls, distinct),
        }
    }
}

#[inline]
fn widen<T: Copy + PartialOrd>(bounds: &mut Option<(T, T)>, value: T) {
    match bounds {
        None => *bounds = Some((value, value)),
        Some((least, most)) => {
            if value < *least {
                *least = value;
            }
            if value > *most {
                *most = value;
            }
        }
    }
}

fn plain<T>(bounds: Option<(T, T)>, nulls: u64, distinct: Option<u64>) -> Statistics
where
    Statistics: From<ValueStatistics<T>>,
{
    let (least, most) = bounds.unzip();
    Statistics::from(ValueStatistics::new(least, most, distinct, Some(nulls), false))
}

fn text(bounds: Option<(Vec<u8>, Vec<u8>)>, nulls: u64, distinct: Option<u64>) -> Statistics {
    let (least, most) = bounds.unzip();
    let (least, least_exact) = match least {
        Some(least) if least.len() > LONGEST_BOUND => (Some(cut(&least).to_vec()), false),
        least => (least, true),
    };
    let (most, most_exact) = match most {
        Some(most) if most.len() > LONGEST_BOUND => (next_after(cut(&most)), false),
        most => (most, true),
    };
    let array = |bytes: Option<Vec<u8>>| bytes.map(ByteArray::from);
    Statistics::from(
        ValueStatistics::new(array(least), array(most), distinct, Some(nulls), false)
            .with_min_is_exact(least_exact)
            .with_max_is_exact(most_exact),
    )
}

/// The longest prefix of whole characters within the limit.
fn cut(text: &[u8]) -> &[u8] {
    let mut end = LONGEST_BOUND.min(text.len());
    // A continuation byte can't begin the part that is cut off.
    while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    &text[..end]
}

/// A text that sorts after everything that begins with `prefix`.
fn next_after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut chars: Vec<char> = std::str::from_utf8(prefix).ok()?.chars().collect();
    while let Some(last) = chars.pop() {
        // Past the surrogates there is a gap in the scalar values.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect::<String>().into_bytes());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cut_bounds_still_hold(text in "\\PC{0,90}", tail in "\\PC{0,5}") {
            let bytes = text.as_bytes();
            let prefix = cut(bytes);
            prop_assert!(std::str::from_utf8(prefix).is_ok());
            prop_assert!(prefix <= bytes);
            if let Some(most) = next_after(prefix) {
                prop_assert!(most.as_slice() > bytes);
                prop_assert!(most.as_slice() > [prefix, tail.as_bytes()].concat().as_slice());
            }
        }
    }

    #[test]
    fn the_last_character_of_all_has_no_next() {
        assert_eq!(next_after("\u{10ffff}".as_bytes()), None);
        assert_eq!(next_after("a\u{10ffff}".as_bytes()), Some(b"b".to_vec()));
        assert_eq!(next_after("\u{d7ff}".as_bytes()), Some("\u{e000}".as_bytes().to_vec()));
    }

    #[test]
    fn zeros_and_nans() {
        let mut bounds = Bounds::new(ColumnType::Double);
        bounds.add_doubles([0.0, -0.0].into_iter());
        let Statistics::Double(stats) = bounds.finish(ColumnType::Double, 0, None) else { panic!("doubles") };
        assert!(stats.min_opt().is_some_and(|least| least.is_sign_negative()));
        assert!(stats.max_opt().is_some_and(|most| most.is_sign_positive()));
        let mut bounds = Bounds::new(ColumnType::Double);
        bounds.add_doubles([1.0, f64::NAN].into_iter());
        let Statistics::Double(stats) = bounds.finish(ColumnType::Double, 0, None) else { panic!("doubles") };
        assert_eq!((stats.min_opt(), stats.max_opt()), (None, None));
    }
}
