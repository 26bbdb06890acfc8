use std::collections::HashSet;

use lakehouse_types::ingest::RenamedColumn;

use crate::kind::KindSet;

/// The longest header cell that a guess takes for a name, in characters.
const LONGEST_GUESSED_NAME: usize = 64;

/// Of so many cells of a column one may be odd, and the column still counts as typed.
const CELLS_PER_ODD_ONE: usize = 10;

/// Whether the first record is a header, and what the guess rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeaderGuess {
    pub(crate) is_header: bool,
    pub(crate) ground: Ground,
}

/// What a guess rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Every column that has a type says the same.
    Types,
    /// Columns that have a type contradict each other, or a cell in them is odd.
    Contested,
    /// No column has a type: the first record looks like names, or it doesn't.
    Looks,
}

/// Is the first record a header? Decided on the text alone, for files that come without a word.
///
/// Each column votes: one whose first cell is text above numbers, dates or truth values says yes, one whose
/// first cell is such a value itself says no. A few odd cells below take no vote away. Where no column
/// has anything but text, the first record is a header if its cells could be names: short, not empty,
/// all different, and none of them found again below.
pub(crate) fn guess_header(
    first: &[Vec<u8>],
    rest: &[Vec<Vec<u8>>],
    classify: impl Fn(&[u8]) -> KindSet,
) -> HeaderGuess {
    let (mut yes, mut no, mut odd) = (0_usize, 0_usize, 0_usize);
    let years = has_years(first);
    for (column, cell) in first.iter().enumerate() {
        let top = classify(cell);
        if says_nothing(top) {
            continue;
        }
        let cells = || rest.iter().filter_map(|row| row.get(column)).map(Vec::as_slice);
        let below = Below::of(cells().map(&classify));
        let is_name = years && year(cell).is_some() && cells().any(|cell| !cell.is_empty() && year(cell).is_none());
        odd += usize::from(is_name);
        let is_value = top != KindSet::TEXT && !is_name;
        match (below.is_typed(), is_value) {
            // Above text or nothing, too: a header of numbers is rarer than no header.
            (_, true) => no += 1,
            (true, false) => {
                yes += 1;
                odd += below.texts;
            }
            (false, false) => {}
        }
    }
    if yes + no == 0 {
        return HeaderGuess { is_header: could_be_names(first, rest), ground: Ground::Looks };
    }
    let is_contested = (yes > 0 && no > 0) || odd > 0;
    let ground = if is_contested { Ground::Contested } else { Ground::Types };
    HeaderGuess { is_header: yes > no, ground }
}

/// `country,2019,2020`: years in equal steps, beside a text, are names though they are numbers.
fn has_years(first: &[Vec<u8>]) -> bool {
    let years: Vec<u16> = first.iter().filter_map(|cell| year(cell)).collect();
    let mut steps = years.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0]));
    let step = steps.next();
    step.is_some_and(|step| step != 0) && steps.all(|other| Some(other) == step) && years.len() < first.len()
}

fn year(cell: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(cell).ok().filter(|text| text.len() == 4)?;
    text.parse().ok().filter(|year| (1500..2200).contains(year))
}

/// Nulls fit every column, and `nan` may be a name.
fn says_nothing(kind: KindSet) -> bool {
    kind == KindSet::NULL || kind == KindSet::WORD
}

/// The cells of a column below the first record.
#[derive(Default)]
struct Below {
    values: usize,
    texts: usize,
}

impl Below {
    fn of(cells: impl Iterator<Item = KindSet>) -> Self {
        let mut below = Self::default();
        for kind in cells.filter(|kind| !says_nothing(*kind)) {
            if kind == KindSet::TEXT {
                below.texts += 1;
            } else {
                below.values += 1;
            }
        }
        below
    }

    /// Is the column one of values, but for some odd cells?
    fn is_typed(&self) -> bool {
        let may_be_odd = (self.values / CELLS_PER_ODD_ONE).max(usize::from(self.values > 1));
        self.values > 0 && self.texts <= may_be_odd
    }
}

fn could_be_names(first: &[Vec<u8>], rest: &[Vec<Vec<u8>>]) -> bool {
    let different: HashSet<&[u8]> = first.iter().map(Vec::as_slice).collect();
    different.len() == first.len()
        && first.iter().enumerate().all(|(column, cell)| {
            !cell.is_empty()
                && String::from_utf8_lossy(cell).chars().count() <= LONGEST_GUESSED_NAME
                && rest.iter().all(|row| row.get(column) != Some(cell))
        })
}

/// The columns' names, and which of them are not as the header has them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    pub(crate) renamed: Vec<RenamedColumn>,
}

/// Makes names unique when case is ignored, as SQL does. White space around a name goes, an empty
/// one becomes `column<position>`, and a repeated one gets `_2`, `_3`, ... A name that the header
/// has itself is never taken by a renamed one.
pub(crate) fn unique_names(header: &[String]) -> Names {
    let mut taken: HashSet<String> = header.iter().map(|name| fold(name.trim())).collect();
    let mut used = HashSet::new();
    let mut result = Names::default();
    for (position, from) in header.iter().enumerate() {
        let trimmed = from.trim();
        let is_free = !trimmed.is_empty() && used.insert(fold(trimmed));
        let to = if is_free { trimmed.to_owned() } else { free_name(trimmed, position, &mut taken) };
        if to != *from {
            result.renamed.push(RenamedColumn { position, from: from.clone(), to: to.clone() });
        }
        result.names.push(to);
    }
    result
}

fn free_name(name: &str, position: usize, taken: &mut HashSet<String>) -> String {
    let base = if name.is_empty() { format!("column{}", position + 1) } else { name.to_owned() };
    let first = if name.is_empty() { 1 } else { 2 };
    let mut number = first;
    loop {
        let candidate = if number == 1 { base.clone() } else { format!("{base}_{number}") };
        if taken.insert(fold(&candidate)) {
            return candidate;
        }
        number += 1;
    }
}

/// Equal for names that SQL or a file system may take for the same.
pub(crate) fn fold(name: &str) -> String {
    name.to_lowercase().to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Notation;

    fn names(header: &[&str]) -> Vec<String> {
        unique_names(&header.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).names
    }

    fn rows(rows: &[&[&str]]) -> Vec<Vec<Vec<u8>>> {
        rows.iter().map(|row| row.iter().map(|cell| cell.as_bytes().to_vec()).collect()).collect()
    }

    fn grounds(all: &[&[&str]]) -> HeaderGuess {
        let all = rows(all);
        guess_header(&all[0], &all[1..], |cell| Notation::default().classify(cell))
    }

    fn guess(all: &[&[&str]]) -> bool {
        grounds(all).is_header
    }

    #[test]
    fn names_become_unique() {
        assert_eq!(names(&["a", "A", "a_2", ""]), ["a", "A_3", "a_2", "column4"]);
        assert_eq!(names(&["", "column1", ""]), ["column1_2", "column1", "column3"]);
        assert_eq!(names(&[" id ", "id"]), ["id", "id_2"]);
        assert_eq!(names(&["straße", "STRASSE"]), ["straße", "STRASSE_2"]);
    }

    #[test]
    fn renamed_columns_are_told_with_their_old_name() {
        let result = unique_names(&[" id".to_owned(), "x".to_owned(), "ID".to_owned()]);
        let told: Vec<_> = result.renamed.iter().map(|r| (r.position, r.from.as_str(), r.to.as_str())).collect();
        assert_eq!(told, [(0, " id", "id"), (2, "ID", "ID_2")]);
    }

    #[test]
    fn headers_are_told_from_data() {
        assert!(guess(&[&["name", "age"], &["Ann", "7"], &["Bob", "8"]]));
        assert!(guess(&[&["", "age"], &["Ann", "7"]]), "a data frame's index has no name");
        assert!(!guess(&[&["3", "Fears for T N pension"], &["4", "The race is on"]]));
        assert!(!guess(&[&["1", "2"], &["3", "4"]]));
        assert!(guess(&[&["city", "state"], &["Holtsville", "NY"]]));
        assert!(!guess(&[&["NY", "x"], &["NY", "y"]]), "a value that comes again is no name");
        assert!(!guess(&[&["a", "a"], &["b", "c"]]));
        assert!(guess(&[&["id", "when"]]));
        assert!(!guess(&[&["1", "2020-01-01"]]));
    }

    #[test]
    fn odd_cells_do_not_unseat_a_header() {
        let odd_later: &[&[&str]] = &[&["id", "v"], &["1", "2"], &["3", "4"], &["id", "v"], &["5", "6"]];
        let odd_first: &[&[&str]] = &[&["id", "weight"], &["-", "kg"], &["1", "2.5"], &["3", "3.5"]];
        for all in [odd_later, odd_first] {
            assert_eq!(grounds(all), HeaderGuess { is_header: true, ground: Ground::Contested }, "{all:?}");
        }
        assert!(!guess(&[&["x", "Ann"], &["1", "Ann"], &["x", "Cid"]]), "half of the cells are not a few");
    }

    #[test]
    fn years_in_a_row_are_names() {
        let years: &[&[&str]] = &[&["country", "2019", "2020"], &["CH", "1.5", "8600000"], &["DE", "2.5", ""]];
        assert_eq!(grounds(years), HeaderGuess { is_header: true, ground: Ground::Contested });
        assert!(!guess(&[&["CH", "2019", "2020"], &["DE", "2018", "2021"]]), "years below, too");
        assert!(!guess(&[&["CH", "2019"], &["DE", "7"]]), "one year");
        assert!(!guess(&[&["CH", "2019", "1600", "1991"], &["DE", "1", "2", "3"]]), "no steps");
        assert!(!guess(&[&["2019", "2020"], &["1", "2"]]), "no text");
    }

    #[test]
    fn a_guess_says_what_it_rests_on() {
        let ground = |all: &[&[&str]]| grounds(all).ground;
        assert_eq!(ground(&[&["name", "age"], &["Ann", "7"]]), Ground::Types);
        assert_eq!(ground(&[&["name", "2020"], &["Ann", "7"]]), Ground::Types);
        assert_eq!(ground(&[&["age", "2020"], &["7", "7"]]), Ground::Contested);
        assert_eq!(ground(&[&["city", "state"], &["Holtsville", "NY"]]), Ground::Looks);
    }

    proptest! {
        #[test]
        fn names_are_unique_and_stay_where_they_can(header in proptest::collection::vec("[aAbB _2]{0,4}", 1..12)) {
            let result = unique_names(&header);
            let folded: HashSet<String> = result.names.iter().map(|name| fold(name)).collect();
            prop_assert_eq!(folded.len(), header.len());
            prop_assert!(result.names.iter().all(|name| !name.is_empty() && name.trim() == name));
            for (position, name) in header.iter().enumerate() {
                let first = header.iter().position(|other| fold(other.trim()) == fold(name.trim()));
                if first == Some(position) && !name.trim().is_empty() {
                    prop_assert_eq!(&result.names[position], name.trim());
                }
            }
        }
    }
}
