//! Guesses how a file is written: its head is read in every way that it may have been meant, and the
//! readings are compared by what they cost.

use super::{Dialect, Spaces, reading::Reading};

/// What the caller said about the dialect; the rest is guessed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    pub(crate) delimiter: Option<u8>,
    /// `Some(None)`: quotes mean nothing.
    pub(crate) quote: Option<Option<u8>>,
    /// `Some(None)`: quotes are escaped by doubling alone.
    pub(crate) escape: Option<Option<u8>>,
    pub(crate) spaces: Option<Spaces>,
    pub(crate) comment: Option<u8>,
}

/// The dialect, and what else the file could have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detected {
    pub(crate) dialect: Dialect,
    pub(crate) doubts: Vec<Doubt>,
}

/// A guess that could have gone another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Another delimiter cuts nearly as well.
    Delimiter { rival: u8 },
    /// Apostrophes were taken for quotes.
    Apostrophes,
    /// Apostrophes could be quotes, and were not taken for them.
    NoApostrophes,
    /// Quotes were taken for characters.
    NoQuotes,
    /// White space before fields was taken off.
    Spaces,
    /// Backslashes were taken for escapes.
    Escape,
}

/// Delimiters that are looked for. Among equals the earlier wins.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// A rival whose quality is so close makes a delimiter doubtful.
const CLOSE: i64 = 10;

/// Guesses the dialect from `sample`, the first bytes of a file. `whole` tells that it is all of it.
pub(crate) fn detect(sample: &[u8], whole: bool, wish: Wish) -> Detected {
    let looker = Looker { sample, whole, wish };
    let mut doubts = Vec::new();
    let quoted = looker.best(wish.quote.unwrap_or(Some(b'"')));
    let mut best = quoted;
    if wish.quote.is_none() {
        let has = |byte| memchr::memchr(byte, sample).is_some();
        let apostrophes = has(b'\'').then(|| looker.best(Some(b'\'')));
        if let Some(apostrophes) = apostrophes {
            if apostrophes.reading.is_better_with_apostrophes(&best.reading) {
                doubts.push(Doubt::Apostrophes);
                best = apostrophes;
            } else if apostrophes.reading.closes_quotes() && apostrophes.reading.has_line_breaks() {
                doubts.push(Doubt::NoApostrophes);
            }
        }
        if best.reading.dialect.quote == Some(b'"') && best.reading.doubts_quotes() {
            let bare = looker.best(None);
            if bare.reading.is_better_without_quotes(&best.reading) {
                doubts.push(Doubt::NoQuotes);
                best = bare;
            }
        }
    }
    let dialect = best.reading.dialect;
    doubts.extend(best.rival.map(|rival| Doubt::Delimiter { rival }));
    if wish.spaces.is_none() && dialect.spaces != Spaces::Kept {
        doubts.push(Doubt::Spaces);
    }
    if wish.escape.is_none() && dialect.escape.is_some() {
        doubts.push(Doubt::Escape);
    }
    Detected { dialect, doubts }
}

struct Looker<'a> {
    sample: &'a [u8],
    whole: bool,
    wish: Wish,
}

struct Best {
    reading: Reading,
    /// Another delimiter that cuts nearly as well.
    rival: Option<u8>,
}

impl Looker<'_> {
    /// The best reading with these quotes.
    fn best(&self, quote: Option<u8>) -> Best {
        if let Some(delimiter) = self.wish.delimiter {
            return Best { reading: self.read(delimiter, quote), rival: None };
        }
        let mut readings: Vec<Reading> = DELIMITERS.iter().map(|delimiter| self.read(*delimiter, quote)).collect();
        let mut best = 0;
        for (i, reading) in readings.iter().enumerate().filter(|(_, reading)| reading.is_candidate()) {
            let of_best = &readings[best];
            let rank = |reading: &Reading| (reading.quality(), reading.fields);
            if !of_best.is_candidate() || rank(reading) > rank(of_best) {
                best = i;
            }
        }
        // `1,5;2,5`: where the comma is the decimal point, it cuts as evenly as the semicolon.
        let semicolon = DELIMITERS.iter().position(|delimiter| *delimiter == b';').unwrap_or(best);
        let is_decimal = readings[best].dialect.delimiter == b','
            && readings[semicolon].is_candidate()
            && readings[semicolon].quality() >= readings[best].quality()
            && readings[semicolon].has_decimal_commas();
        if is_decimal {
            best = semicolon;
        }
        let quality = readings[best].quality();
        let is_rival = |(i, reading): &(usize, &Reading)| {
            *i != best && reading.is_candidate() && reading.quality() + CLOSE >= quality
        };
        let rival = readings.iter().enumerate().find(is_rival).map(|(_, rival)| rival.dialect.delimiter);
        Best { reading: readings.swap_remove(best), rival }
    }

    /// The best reading with this delimiter and these quotes: white space before them, and backslashes
    /// in front of them, are part of the syntax only where that makes the table more regular.
    fn read(&self, delimiter: u8, quote: Option<u8>) -> Reading {
        let of = |dialect| Reading::of(self.sample, self.whole, dialect);
        let dialect = Dialect {
            delimiter,
            quote,
            escape: self.wish.escape.flatten().filter(|escape| Some(*escape) != quote),
            spaces: self.wish.spaces.unwrap_or_default(),
            comment: self.wish.comment,
        };
        let mut best = of(dialect);
        let Some(quote) = quote else { return best };
        if self.wish.spaces.is_none() && best.spaced_quotes > 0 {
            let leading = of(Dialect { spaces: Spaces::Leading, ..dialect });
            if leading.faults() <= best.faults() {
                best = leading;
            }
        }
        let has_backslash = memchr::memmem::find(self.sample, &[b'\\', quote]).is_some();
        if self.wish.escape.is_none() && has_backslash && best.faults() > 0 {
            let escaped = of(Dialect { escape: Some(b'\\'), ..best.dialect });
            if escaped.faults() < best.faults() {
                best = escaped;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests;
