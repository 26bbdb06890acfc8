use std::num::NonZero;

/// What one conversion may use. The defaults keep it under 300 MB whatever it is fed; the sizes that
/// shape the output are constants of the format, not settings, for equal input must give equal
/// files.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Threads that parse and encode.
    pub threads: NonZero<usize>,
    /// The most columns of a file.
    pub max_columns: usize,
    /// The longest record in bytes, and so the longest field.
    pub max_record_bytes: usize,
    pub(crate) shape: Shape,
}

impl Limits {
    /// The defaults, with so many threads.
    #[must_use]
    pub const fn with_threads(threads: NonZero<usize>) -> Self {
        Self { threads, max_columns: 4_096, max_record_bytes: 16 << 20, shape: Shape::PRODUCTION }
    }
}

/// The sizes that decide where the output is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Input bytes of one piece: the unit of parallel work. Small enough that the columns of a
    /// piece of one-byte fields, eight times as large, stay small too.
    pub(crate) piece_bytes: u64,
    /// A row group ends past so many rows ...
    pub(crate) group_rows: u64,
    /// ... or so many bytes of input, which bounds its encoded pages: they stay in memory until
    /// the group is complete, and incompressible input hardly shrinks.
    pub(crate) group_bytes: u64,
    /// A page ends past so many rows ...
    pub(crate) page_rows: usize,
    /// ... or so many bytes, over all columns together.
    pub(crate) open_page_bytes: usize,
    /// Bytes of all columns' dictionaries together.
    pub(crate) dictionary_bytes: usize,
}

impl Shape {
    pub(crate) const PRODUCTION: Self = Self {
        piece_bytes: 1 << 20,
        group_rows: 1 << 20,
        group_bytes: 96 << 20,
        page_rows: 1 << 16,
        open_page_bytes: 32 << 20,
        dictionary_bytes: 32 << 20,
    };
}
