use super::Quoting;

/// Where a field's content lies, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// The length, with two flags in the highest bits.
    len: u32,
}

impl Span {
    pub(super) const QUOTED: u32 = 1 << 31;
    pub(super) const ESCAPED: u32 = 1 << 30;

    #[inline]
    pub(super) const fn new(start: usize, end: usize, flags: u32) -> Self {
        // A buffer holds a piece and at most one capped record more: far below 2^30 bytes.
        Self { start: start as u32, len: (end - start) as u32 | flags }
    }

    #[inline]
    pub(crate) const fn start(self) -> usize {
        self.start as usize
    }

    #[inline]
    const fn end(self) -> usize {
        self.start as usize + (self.len & !(Self::QUOTED | Self::ESCAPED)) as usize
    }

    /// The content; escaped characters still have what escapes them.
    #[inline]
    pub(crate) fn bytes(self, data: &[u8]) -> &[u8] {
        &data[self.start()..self.end()]
    }

    #[inline]
    pub(crate) const fn is_quoted(self) -> bool {
        self.len & Self::QUOTED != 0
    }

    /// Does the content have doubled quotes or escapes?
    #[inline]
    pub(crate) const fn is_escaped(self) -> bool {
        self.len & Self::ESCAPED != 0
    }

    /// The content as it was meant.
    pub(crate) fn plain(self, data: &[u8], quoting: Quoting) -> Vec<u8> {
        let mut plain = Vec::with_capacity(self.bytes(data).len());
        if self.is_escaped() {
            quoting.unescape(self.bytes(data), &mut plain);
        } else {
            plain.extend_from_slice(self.bytes(data));
        }
        plain
    }
}

/// Some records' fields, row by row.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// `rows * columns` of them.
    pub(crate) spans: Vec<Span>,
    pub(crate) rows: usize,
}

impl Block {
    /// Fields that a block holds: its spans and the bytes under them stay in the second-level cache.
    pub(super) const FIELDS: usize = 16 * 1024;

    /// Rows that it holds however many columns there are: with fewer, beginning a column would cost
    /// more than reading its cells.
    pub(super) const LEAST_ROWS: usize = 64;

    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.rows = 0;
    }

    /// Drops the rows at `bad` (ascending, no duplicates).
    pub(crate) fn remove_rows(&mut self, bad: &[usize], columns: usize) {
        let mut bad = bad.iter().copied().peekable();
        let mut kept = 0;
        for row in 0..self.rows {
            if bad.next_if_eq(&row).is_none() {
                self.spans.copy_within(row * columns..(row + 1) * columns, kept * columns);
                kept += 1;
            }
        }
        self.spans.truncate(kept * columns);
        self.rows = kept;
    }
}
