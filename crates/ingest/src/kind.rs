//! What the cells of a column look like, and the type that follows from it.
//!
//! A column's type is a function of the *set* of kinds found in it, and of nothing else: not of
//! their order, not of where the file was cut into pieces, not of the guess that a sample gave.
//! So every way of reading a file ends with the same types. One column may change what another
//! means, though: where numbers have a decimal comma, a point is no decimal point. Therefore the
//! types are those of all columns together ([`resolve_columns`]).

use crate::schema::ColumnType;

/// A set of the kinds below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KindSet(u32);

impl KindSet {
    pub(crate) const EMPTY: Self = Self(0);
    /// Empty, blank, or a word for null.
    pub(crate) const NULL: Self = Self(1);
    /// `true` or `false` in any case.
    pub(crate) const BOOLEAN: Self = Self(1 << 1);
    /// Fits 64 bits, and a double brings back every digit of it.
    pub(crate) const INTEGER: Self = Self(1 << 2);
    /// Fits 64 bits; as a double it would lose digits.
    pub(crate) const INTEGER_WIDE: Self = Self(1 << 3);
    /// An integer past 64 bits of up to 38 digits, of which a double brings back every one.
    pub(crate) const HUGE: Self = Self(1 << 4);
    /// An integer past 64 bits of up to 38 digits that a double would not bring back.
    pub(crate) const HUGE_WIDE: Self = Self(1 << 5);
    /// With a decimal point, or an exponent with a sign.
    pub(crate) const FLOAT: Self = Self(1 << 6);
    pub(crate) const DATE: Self = Self(1 << 7);
    pub(crate) const TIMESTAMP: Self = Self(1 << 8);
    pub(crate) const TIMESTAMP_TZ: Self = Self(1 << 9);
    pub(crate) const TIME: Self = Self(1 << 10);
    /// Anything else.
    pub(crate) const TEXT: Self = Self(1 << 11);
    /// `7731e104`: a number only beside others that are surely no ids.
    pub(crate) const EXPONENT: Self = Self(1 << 12);
    /// `NaN`, `inf`: numbers only beside some that have digits.
    pub(crate) const WORD: Self = Self(1 << 13);
    /// `1,5` and `1.234,56`: nothing but a number with a decimal comma. This kind and the next two
    /// are told only where nobody said how the file writes its numbers.
    pub(crate) const COMMA: Self = Self(1 << 14);
    /// `1,234`: a number, with a decimal comma or with commas between thousands.
    pub(crate) const COMMA_GROUP: Self = Self(1 << 15);
    /// `1.234.567`: an integer beside decimal commas; anywhere else perhaps a version.
    pub(crate) const POINT_GROUPS: Self = Self(1 << 16);
    /// `1.200`: always with [`Self::FLOAT`]; but beside decimal commas it may be twelve hundred.
    pub(crate) const GROUPED: Self = Self(1 << 17);

    const INTEGERS: Self = Self::INTEGER.union(Self::INTEGER_WIDE).union(Self::HUGE).union(Self::HUGE_WIDE);
    const DOUBLES: Self =
        Self::INTEGER.union(Self::HUGE).union(Self::FLOAT).union(Self::GROUPED).union(Self::EXPONENT).union(Self::WORD);
    const DOUBTFUL: Self =
        Self::EXPONENT.union(Self::WORD).union(Self::GROUPED).union(Self::COMMA_GROUP).union(Self::POINT_GROUPS);
    const NUMBERS_AS_TEXT: Self =
        Self::INTEGERS.union(Self::DOUBLES).union(Self::COMMA).union(Self::COMMA_GROUP).union(Self::POINT_GROUPS);

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The narrowest type that holds all of them without loss; `VARCHAR` where none does, and for
    /// a column of nulls. What the file's other columns say is left out: see [`resolve_columns`].
    pub(crate) const fn resolve(self) -> ColumnType {
        let values = Self(self.0 & !Self::NULL.0);
        if values.0 == 0 {
            return ColumnType::Varchar;
        }
        let mut i = 0;
        while i < LADDER.len() {
            if values.within(LADDER[i].1) && values.is_meant_as(LADDER[i].0) {
                return LADDER[i].0;
            }
            i += 1;
        }
        ColumnType::Varchar
    }

    /// True once no further value can make the column anything but `VARCHAR`, nor one that tells how
    /// the file writes its numbers: every rung of the ladder is closed downwards, so a set that is on
    /// none of them never gets back on one.
    pub(crate) fn is_decided_text(self) -> bool {
        let values = Self(self.0 & !Self::NULL.0);
        values != Self::EMPTY && !LADDER.iter().any(|(_, kinds)| values.within(*kinds))
    }

    /// Does the column show that the file's numbers have a decimal comma?
    pub(crate) fn is_decimal_comma(self) -> bool {
        self.contains(Self::COMMA) && !self.is_decided_text()
    }

    /// Does the column, where it is text, look like one of numbers? Then it was no certain one: an id
    /// or a word that passes for a double, or a point or comma that may stand between thousands.
    pub(crate) fn is_number_like(self) -> bool {
        self.0 & Self::DOUBTFUL.0 != 0 && !self.is_decided_text()
    }

    /// Ids such as `7731e104` and words such as `inf` pass for doubles only where something shows
    /// that the column holds numbers: a decimal point, a sign in an exponent; for words a digit.
    const fn is_meant_as(self, ty: ColumnType) -> bool {
        if !matches!(ty, ColumnType::Double) {
            return true;
        }
        let has_digits = self.0 & !Self::WORD.0 != 0;
        has_digits && (!self.contains(Self::EXPONENT) || self.contains(Self::FLOAT))
    }
}

impl ColumnType {
    /// Is a cell of this kind a value of this type, without loss?
    pub(crate) fn holds(self, kind: KindSet) -> bool {
        LADDER.iter().any(|(ty, kinds)| *ty == self && kind.within(*kinds))
    }
}

/// The types of a file's columns, from the kinds found in each. Where one of them has decimal commas,
/// a column with a cell such as `1.200` is text: as a double it would be 1.2 where twelve hundred may
/// be meant.
pub(crate) fn resolve_columns(seen: &[KindSet]) -> Vec<ColumnType> {
    let has_decimal_comma = seen.iter().any(|kinds| kinds.is_decimal_comma());
    let resolve = |kinds: &KindSet| match has_decimal_comma && kinds.contains(KindSet::GROUPED) {
        true => ColumnType::Varchar,
        false => kinds.resolve(),
    };
    seen.iter().map(resolve).collect()
}

/// Types and the kinds that each holds without loss, the narrower before the wider. The last one is of
/// numbers that no other holds together.
const LADDER: [(ColumnType, KindSet); 9] = [
    (ColumnType::Boolean, KindSet::BOOLEAN),
    (ColumnType::BigInt, KindSet::INTEGER.union(KindSet::INTEGER_WIDE)),
    (ColumnType::HUGE_INTEGER, KindSet::INTEGERS),
    (ColumnType::Double, KindSet::DOUBLES),
    (ColumnType::Date, KindSet::DATE),
    (ColumnType::Timestamp, KindSet::DATE.union(KindSet::TIMESTAMP)),
    (ColumnType::TimestampTz, KindSet::TIMESTAMP_TZ),
    (ColumnType::Time, KindSet::TIME),
    (ColumnType::Varchar, KindSet::NUMBERS_AS_TEXT),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(kinds: &[KindSet]) -> ColumnType {
        kinds.iter().fold(KindSet::EMPTY, |set, kind| set.union(*kind)).resolve()
    }

    #[test]
    fn widening_never_loses_a_digit() {
        use KindSet as K;
        assert_eq!(resolve(&[]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::NULL]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::NULL, K::INTEGER]), ColumnType::BigInt);
        assert_eq!(resolve(&[K::INTEGER, K::INTEGER_WIDE]), ColumnType::BigInt);
        assert_eq!(resolve(&[K::INTEGER, K::FLOAT]), ColumnType::Double);
        assert_eq!(resolve(&[K::INTEGER_WIDE, K::FLOAT]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::INTEGER, K::HUGE]), ColumnType::HUGE_INTEGER);
        assert_eq!(resolve(&[K::HUGE, K::FLOAT]), ColumnType::Double);
        assert_eq!(resolve(&[K::HUGE_WIDE, K::FLOAT]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::INTEGER, K::EXPONENT]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::EXPONENT]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::INTEGER, K::EXPONENT, K::FLOAT]), ColumnType::Double);
        assert_eq!(resolve(&[K::WORD, K::NULL]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::WORD, K::INTEGER]), ColumnType::Double);
        assert_eq!(resolve(&[K::DATE, K::TIMESTAMP]), ColumnType::Timestamp);
        assert_eq!(resolve(&[K::DATE, K::TIMESTAMP_TZ]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::BOOLEAN, K::INTEGER]), ColumnType::Varchar);
        assert_eq!(resolve(&[K::INTEGER, K::TEXT]), ColumnType::Varchar);
    }

    #[test]
    fn numbers_that_no_type_holds_are_text_that_may_tell_more() {
        use KindSet as K;
        for kinds in [
            &[K::COMMA][..],
            &[K::COMMA_GROUP, K::INTEGER],
            &[K::POINT_GROUPS],
            &[K::INTEGER_WIDE, K::FLOAT],
            &[K::COMMA, K::FLOAT, K::GROUPED, K::WORD, K::NULL],
        ] {
            let set = kinds.iter().fold(K::EMPTY, |set, kind| set.union(*kind));
            assert_eq!((set.resolve(), set.is_decided_text()), (ColumnType::Varchar, false), "{set:?}");
            assert_eq!(set.is_decimal_comma(), set.contains(K::COMMA), "{set:?}");
            for other in [K::TEXT, K::DATE, K::BOOLEAN] {
                assert!(
                    set.union(other).is_decided_text() && !set.union(other).is_decimal_comma(),
                    "{set:?} {other:?}"
                );
            }
        }
        assert_eq!(resolve(&[K::FLOAT, K::GROUPED]), ColumnType::Double);
        assert_eq!(resolve(&[K::FLOAT, K::GROUPED, K::INTEGER, K::EXPONENT]), ColumnType::Double);
        assert!(ColumnType::Double.holds(K::FLOAT.union(K::GROUPED)));
    }

    #[test]
    fn decimal_commas_in_one_column_make_points_in_others_doubtful() {
        use ColumnType::{BigInt, Double, Varchar};
        use KindSet as K;
        let point = K::FLOAT.union(K::GROUPED).union(K::INTEGER);
        let comma = K::COMMA.union(K::INTEGER);
        assert_eq!(resolve_columns(&[point, K::FLOAT, K::INTEGER]), [Double, Double, BigInt]);
        assert_eq!(resolve_columns(&[point, K::FLOAT, K::INTEGER, comma]), [Varchar, Double, BigInt, Varchar]);
        // Neither a list in a text column nor `1,234` tells anything.
        for other in [comma.union(K::TEXT), K::COMMA_GROUP.union(K::INTEGER), K::POINT_GROUPS] {
            assert_eq!(resolve_columns(&[point, other]), [Double, Varchar]);
        }
        assert_eq!(resolve_columns(&[]), []);
    }

    #[test]
    fn a_text_that_looks_like_numbers_is_told_from_one_that_does_not() {
        use KindSet as K;
        for like in [K::EXPONENT, K::WORD.union(K::NULL), K::COMMA_GROUP.union(K::INTEGER), K::FLOAT.union(K::GROUPED)]
        {
            assert!(like.is_number_like(), "{like:?}");
            assert!(!like.union(K::TEXT).is_number_like(), "{like:?} with text");
        }
        for other in [K::EMPTY, K::NULL, K::TEXT, K::DATE, K::INTEGER_WIDE.union(K::FLOAT)] {
            assert!(!other.is_number_like(), "{other:?}");
        }
    }

    /// The early exit of the text builder rests on this.
    #[test]
    fn text_once_decided_stays_text() {
        const KINDS: u32 = 18;
        assert_eq!(KindSet::GROUPED, KindSet(1 << (KINDS - 1)), "the last kind");
        for set in (0..1 << KINDS).map(KindSet).filter(|set| set.is_decided_text()) {
            for bit in 0..KINDS {
                assert!(set.union(KindSet(1 << bit)).is_decided_text(), "{set:?} + bit {bit}");
            }
        }
        assert!(!KindSet::NULL.is_decided_text());
        assert!(!KindSet::EMPTY.is_decided_text());
    }
}
