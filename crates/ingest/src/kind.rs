//! What the cells of a column look like, and the type that follows from it.
//!
//! A column's type is a function of the *set* of kinds found in it, and of nothing else: not of
//! their order, not of where the file was cut into pieces, not of the guess that a sample gave.
//! So every way of reading a file ends with the same types.

use crate::schema::ColumnType;

/// A set of the kinds below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KindSet(u16);

impl KindSet {
    pub(crate) const EMPTY: Self = Self(0);
    /// Empty, blank, `NA`, `N/A`, `null` or `NULL`.
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
    /// a column of nulls.
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

    /// True once no further value can make the column anything but `VARCHAR`: every rung of the
    /// ladder is closed downwards, so a set that is on none of them never gets back on one.
    pub(crate) fn is_decided_text(self) -> bool {
        let values = Self(self.0 & !Self::NULL.0);
        values != Self::EMPTY && !LADDER.iter().any(|(_, kinds)| values.within(*kinds))
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

/// Types and the kinds that each holds without loss, the narrower before the wider.
const LADDER: [(ColumnType, KindSet); 8] = [
    (ColumnType::Boolean, KindSet::BOOLEAN),
    (ColumnType::BigInt, KindSet::INTEGER.union(KindSet::INTEGER_WIDE)),
    (
        ColumnType::HUGE_INTEGER,
        KindSet::INTEGER.union(KindSet::INTEGER_WIDE).union(KindSet::HUGE).union(KindSet::HUGE_WIDE),
    ),
    (
        ColumnType::Double,
        KindSet::INTEGER.union(KindSet::HUGE).union(KindSet::FLOAT).union(KindSet::EXPONENT).union(KindSet::WORD),
    ),
    (ColumnType::Date, KindSet::DATE),
    (ColumnType::Timestamp, KindSet::DATE.union(KindSet::TIMESTAMP)),
    (ColumnType::TimestampTz, KindSet::TIMESTAMP_TZ),
    (ColumnType::Time, KindSet::TIME),
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

    /// The early exit of the text builder rests on this.
    #[test]
    fn text_once_decided_stays_text() {
        let all = || (0_u16..1 << 14).map(KindSet);
        for set in all().filter(|set| set.is_decided_text()) {
            for bit in 0..14 {
                assert!(set.union(KindSet(1 << bit)).is_decided_text(), "{set:?} + bit {bit}");
            }
        }
        assert!(!KindSet::NULL.is_decided_text());
        assert!(!KindSet::EMPTY.is_decided_text());
    }
}
