use std::cell::UnsafeCell;

use duckdb::ffi;

use super::{Failure, Keywords, Prepared, Type, Vector, failure};

/// A result's column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// DuckDB's name of `ty`.
    pub(crate) type_name: String,
}

/// A running statement's rows, in chunks of at most 2,048.
#[derive(Debug)]
pub(crate) struct Stream<'c> {
    /// Fetching changes it through a shared handle.
    result: UnsafeCell<ffi::duckdb_result>,
    columns: Vec<Column>,
    _statement: Prepared<'c>,
}

impl<'c> Stream<'c> {
    /// Takes a result over, whether the statement `started` or failed to.
    pub(super) fn new(
        result: ffi::duckdb_result,
        started: bool,
        statement: Prepared<'c>,
        keywords: &Keywords,
    ) -> Result<Self, Failure> {
        let mut stream = Self { result: UnsafeCell::new(result), columns: Vec::new(), _statement: statement };
        if !started {
            // SAFETY: DuckDB has filled the result, and `stream` destroys it later.
            return Err(unsafe { failure::of_result(stream.result.get()) });
        }
        // SAFETY: the result is alive, and the indices are below the number of columns.
        let count = unsafe { ffi::duckdb_column_count(stream.result.get()) };
        for index in 0..count {
            // SAFETY: as above; the type is ours to free, the name belongs to the result.
            let (ty, name) = unsafe {
                let name = failure::text(ffi::duckdb_column_name(stream.result.get(), index)).unwrap_or_default();
                let ty = Type::take(ffi::duckdb_column_logical_type(stream.result.get(), index));
                (ty.map_err(|failure| Failure::sql(format!("column \"{name}\": {failure}")))?, name)
            };
            let type_name = ty.name(keywords);
            stream.columns.push(Column { name, ty, type_name });
        }
        Ok(stream)
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next rows; `None` after the last.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        // SAFETY: the result is alive, and `&mut self` keeps fetches apart.
        let chunk = Chunk(unsafe { ffi::duckdb_fetch_chunk(*self.result.get()) });
        if !chunk.0.is_null() && chunk.len() > 0 {
            return Ok(Some(chunk));
        }
        // The end and an error look the same but for the error's text.
        // SAFETY: the result is alive.
        match unsafe { failure::text(ffi::duckdb_result_error(self.result.get())) } {
            Some(message) if !message.is_empty() => Err(Failure::from_message(Some(message))),
            _ => Ok(None),
        }
    }

    /// Column `index` of a chunk of this stream.
    pub(crate) fn vector<'a>(&'a self, chunk: &'a Chunk, index: usize) -> Vector<'a> {
        // SAFETY: chunks come from `next_chunk` only, with exactly these columns; the vector is
        // borrowed from the chunk.
        unsafe {
            let raw = ffi::duckdb_data_chunk_get_vector(chunk.0, index as u64);
            Vector::new(raw, &self.columns[index].ty, chunk.len())
        }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // SAFETY: this is the only owner. The statement is dropped after it.
        unsafe { ffi::duckdb_destroy_result(self.result.get()) };
    }
}

/// Some rows of a result.
#[derive(Debug)]
pub(crate) struct Chunk(pub(super) ffi::duckdb_data_chunk);

impl Chunk {
    /// Rows in it.
    pub(crate) fn len(&self) -> usize {
        // SAFETY: the chunk is alive.
        unsafe { ffi::duckdb_data_chunk_get_size(self.0) as usize }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: this is the only owner.
            unsafe { ffi::duckdb_destroy_data_chunk(&raw mut self.0) };
        }
    }
}
