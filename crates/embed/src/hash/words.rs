//! From text to the words that are hashed.

use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Accents of Latin, Greek and Cyrillic letters. Marks of other scripts are part of their letters.
const ACCENTS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// English words that stand in any text, sorted: they would make any two texts alike. `s` and `t`
/// are what an apostrophe leaves behind.
const FUNCTION_WORDS: [&str; 68] = [
    "a", "about", "after", "all", "also", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "for",
    "from", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in", "into", "is", "it", "its", "more", "new",
    "no", "not", "of", "on", "or", "our", "out", "over", "s", "said", "say", "says", "she", "t", "than", "that", "the",
    "their", "there", "they", "this", "to", "up", "was", "we", "were", "what", "when", "which", "who", "will", "with",
    "would", "you", "your",
];

pub(super) fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.binary_search(&word).is_ok()
}

/// One spelling for what reads the same: compatibility forms resolved (`ﬁ`, `①`, full width),
/// lower case, without accents, without the invisible characters that only steer line breaks and
/// ligatures; then composed again, so that Hangul syllables and Kana are whole.
pub(super) fn fold(text: &str) -> String {
    // A final sigma is a matter of spelling only.
    let lower = text.nfkd().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c });
    lower.filter(|c| !ACCENTS.contains(c) && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}')).nfc().collect()
}

/// Is `c` of a script that puts no spaces between words?
const fn is_dense(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}'          // Thai, Lao
        | '\u{1000}'..='\u{109f}'      // Myanmar
        | '\u{1780}'..='\u{17ff}'      // Khmer
        | '\u{3040}'..='\u{30ff}'      // Hiragana, Katakana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{20000}'..='\u{3ffff}'    // Han
    )
}

/// The distinct words of a text, each with how often it stands there; in the order of their bytes.
#[derive(Debug, Default)]
pub(super) struct Words<'a> {
    spaced: BTreeMap<&'a str, usize>,
    dense: BTreeMap<&'a str, usize>,
    count: u64,
}

impl<'a> Words<'a> {
    /// Cuts a folded text.
    pub(super) fn of(folded: &'a str) -> Self {
        let mut words = Self::default();
        let is_word = |c: char| c.is_alphanumeric() || is_combining_mark(c);
        for run in folded.split(|c: char| !is_word(c)) {
            words.cut(run);
        }
        words
    }

    /// Words of scripts with spaces.
    pub(super) fn spaced(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.spaced.iter().map(|(word, count)| (*word, *count))
    }

    /// Characters, and pairs of neighbours, of scripts without.
    pub(super) fn dense(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.dense.iter().map(|(feature, count)| (*feature, *count))
    }

    /// Words in all, each as often as it stands there; a dense character is a word.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Parts `run`, which has no spaces, where its scripts change between spaced and dense.
    fn cut(&mut self, mut run: &'a str) {
        while let Some(first) = run.chars().next() {
            let dense = is_dense(first);
            let end = run.find(|c| is_dense(c) != dense).unwrap_or(run.len());
            let (part, rest) = run.split_at(end);
            if dense {
                self.cut_dense(part);
            } else {
                self.count += 1;
                *self.spaced.entry(part).or_default() += 1;
            }
            run = rest;
        }
    }

    fn cut_dense(&mut self, part: &'a str) {
        let mut before: Option<usize> = None;
        for (at, c) in part.char_indices() {
            let end = at + c.len_utf8();
            self.count += 1;
            *self.dense.entry(&part[at..end]).or_default() += 1;
            if let Some(before) = before {
                *self.dense.entry(&part[before..end]).or_default() += 1;
            }
            before = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Counts = Vec<(String, usize)>;

    fn words(text: &str) -> (Counts, Counts, u64) {
        let folded = fold(text);
        let words = Words::of(&folded);
        let own = |(word, count): (&str, usize)| (word.to_owned(), count);
        (words.spaced().map(own).collect(), words.dense().map(own).collect(), words.count())
    }

    #[test]
    fn function_words_are_sorted() {
        assert!(FUNCTION_WORDS.is_sorted());
        assert!(is_function_word("the") && is_function_word("your") && !is_function_word("oil"));
    }

    #[test]
    fn one_spelling_for_what_reads_the_same() {
        for (text, folded) in [
            ("Zürich", "zurich"),
            ("Zu\u{308}rich", "zurich"),
            ("ＦＵＬＬ ｗｉｄｔｈ ①", "full width 1"),
            ("ﬁnal İstanbul", "final istanbul"),
            ("ΟΔΟΣ οδος", "οδοσ οδοσ"),
            ("soft\u{ad}hyphen", "softhyphen"),
            ("한국", "한국"),
            ("ガ", "ガ"),
            ("हिन्दी", "हिन्दी"),
        ] {
            assert_eq!(fold(text), folded.nfc().collect::<String>(), "{text}");
        }
    }

    #[test]
    fn words_are_counted_where_scripts_have_spaces() {
        let (spaced, dense, count) = words("The oil, the OIL; हिन्दी 3.5%");
        let list = |words: &[(&str, usize)]| words.iter().map(|(w, c)| ((*w).to_owned(), *c)).collect::<Vec<_>>();
        assert_eq!(spaced, list(&[("3", 1), ("5", 1), ("oil", 2), ("the", 2), ("हिन्दी", 1)]));
        assert!(dense.is_empty());
        assert_eq!(count, 7);
    }

    #[test]
    fn characters_and_pairs_where_they_have_none() {
        let (spaced, dense, count) = words("NHK日本語");
        assert_eq!(spaced, [("nhk".to_owned(), 1)]);
        let features: Vec<&str> = dense.iter().map(|(feature, _)| feature.as_str()).collect();
        assert_eq!(features, ["日", "日本", "本", "本語", "語"]);
        assert_eq!(count, 4);
    }
}
