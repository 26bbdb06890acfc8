//! Where lines end: at LF, at CRLF, at CR, and at an LF behind a few CRs, which programs write that
//! turn line ends into CRLF twice.

/// CRs before an LF that belong to the same line end.
const MAX_CRS: usize = 4;

/// The first byte behind the line end that begins at `at`, a CR or LF. `None` where more data must
/// tell whether an LF follows.
#[inline]
pub(crate) fn line_end(data: &[u8], at: usize, last: bool) -> Option<usize> {
    if data.get(at) == Some(&b'\n') {
        return Some(at + 1);
    }
    for crs in 1..=MAX_CRS {
        match data.get(at + crs) {
            Some(b'\n') => return Some(at + crs + 1),
            Some(b'\r') => {}
            None if !last => return None,
            _ => break,
        }
    }
    Some(at + 1)
}

/// Counts line ends in a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct LineCounter {
    lines: u64,
    /// CRs at the end of what was counted: they may belong to an LF.
    crs: usize,
}

impl LineCounter {
    /// Counts those of `bytes`, which follow what was counted before.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut next = 0;
        for at in memchr::memchr2_iter(b'\r', b'\n', bytes) {
            if at > next {
                self.settle();
            }
            if bytes[at] == b'\r' {
                self.crs += 1;
            } else {
                self.lines += 1 + self.crs.saturating_sub(MAX_CRS) as u64;
                self.crs = 0;
            }
            next = at + 1;
        }
        if next < bytes.len() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.lines += self.crs as u64;
        self.crs = 0;
    }

    /// Line ends up to here. A CR at the very end counts as one.
    pub(crate) const fn count(&self) -> u64 {
        self.lines + self.crs as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(bytes: &[u8]) -> u64 {
        let mut counter = LineCounter::default();
        counter.add(bytes);
        counter.count()
    }

    #[test]
    fn every_kind_of_line_end_is_one() {
        for (text, lines) in [
            ("a\nb", 1),
            ("a\r\nb", 1),
            ("a\rb", 1),
            ("a\r\r\nb", 1),
            ("a\r\rb", 2),
            ("a\n\rb", 2),
            ("a\r\r\r\r\nb", 1),
        ] {
            assert_eq!(count(text.as_bytes()), lines, "{text:?}");
        }
        assert_eq!(line_end(b"\r", 0, false), None);
        assert_eq!(line_end(b"\r\r", 0, true), Some(1));
        assert_eq!(line_end(b"\r\r\nx", 0, false), Some(3));
    }

    proptest! {
        /// What is counted is what the reader of records takes for line ends, however the stream is cut.
        #[test]
        fn counting_agrees_with_reading(bytes in proptest::collection::vec(proptest::sample::select(b"a\r\n".as_slice()), 0..60), cut in 0_usize..60) {
            let (mut at, mut lines) = (0, 0);
            while at < bytes.len() {
                if bytes[at] == b'a' {
                    at += 1;
                } else {
                    at = line_end(&bytes, at, true).unwrap();
                    lines += 1;
                }
            }
            prop_assert_eq!(count(&bytes), lines);
            let mut counter = LineCounter::default();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            counter.add(first);
            counter.add(second);
            prop_assert_eq!(counter.count(), lines);
        }
    }
}
