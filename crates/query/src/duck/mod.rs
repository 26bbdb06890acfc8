//! DuckDB's C interface behind safe types: the crate's only `unsafe` code is under this module.
//!
//! The `duckdb` crate's own statements are not used for two reasons: its Arrow iterator panics
//! when a fetch fails, and an interrupt (a timeout, a caller that went away) is such a failure;
//! and the JSON and CSV encoders read DuckDB's vectors themselves, because Arrow has no form for
//! some of its types.

mod failure;
mod logical;
mod memory;
mod stream;
mod vector;

use std::{
    ffi::CString,
    ptr,
    sync::{Arc, Mutex, PoisonError},
};

use duckdb::ffi;

pub(crate) use self::{
    failure::{Failure, FailureKind},
    logical::{Keywords, Type},
    memory::give_back,
    stream::{Chunk, Stream},
    vector::{Fixed, Vector},
};

/// An in-memory instance: one buffer pool, one set of threads.
#[derive(Debug)]
pub(crate) struct Database {
    raw: ffi::duckdb_database,
}

// SAFETY: an instance may be used from any thread; DuckDB locks inside.
unsafe impl Send for Database {}
// SAFETY: as above; the handle itself is never changed after `open`.
unsafe impl Sync for Database {}

impl Database {
    pub(crate) fn open() -> Result<Arc<Self>, Failure> {
        let mut raw = ptr::null_mut();
        let mut message = ptr::null_mut();
        // SAFETY: the path is a C string, both out-pointers live through the call, and a null
        // configuration stands for the defaults.
        let state =
            unsafe { ffi::duckdb_open_ext(c":memory:".as_ptr(), &raw mut raw, ptr::null_mut(), &raw mut message) };
        if state == ffi::DuckDBSuccess {
            return Ok(Arc::new(Self { raw }));
        }
        // SAFETY: on failure DuckDB leaves null or a string of its own, which is ours to free.
        let message = unsafe { ffi::DuckDbString::from_nullable_ptr(message) };
        Err(Failure::from_message(message.map(|text| text.to_string_lossy().into_owned())))
    }

    pub(crate) fn connect(self: &Arc<Self>) -> Result<Connection, Failure> {
        let mut raw = ptr::null_mut();
        // SAFETY: `self.raw` is open for as long as `self` lives.
        let state = unsafe { ffi::duckdb_connect(self.raw, &raw mut raw) };
        if state != ffi::DuckDBSuccess {
            return Err(Failure::from_message(Some("connect to the instance".to_owned())));
        }
        let interrupter = Interrupter(Arc::new(Mutex::new(Handle(raw))));
        Ok(Connection { raw, interrupter, _database: Arc::clone(self) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: every connection holds an `Arc` of this, so none is left.
        unsafe { ffi::duckdb_close(&raw mut self.raw) };
    }
}

/// A session. One statement at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    raw: ffi::duckdb_connection,
    interrupter: Interrupter,
    _database: Arc<Database>,
}

// SAFETY: a connection may move between threads; it is not `Sync`, so it is used from one at a time.
unsafe impl Send for Connection {}

impl Connection {
    /// Runs a statement of our own whose result does not matter.
    pub(crate) fn execute(&self, sql: &str) -> Result<(), Failure> {
        let sql = c_string(sql)?;
        // SAFETY: an all-zero result is what DuckDB expects to fill.
        let mut result: ffi::duckdb_result = unsafe { std::mem::zeroed() };
        // SAFETY: the connection is open, the text a C string, `result` lives through the calls
        // and is destroyed whatever the outcome, as the interface asks.
        unsafe {
            let state = ffi::duckdb_query(self.raw, sql.as_ptr(), &raw mut result);
            let outcome = if state == ffi::DuckDBSuccess { Ok(()) } else { Err(failure::of_result(&raw mut result)) };
            ffi::duckdb_destroy_result(&raw mut result);
            outcome
        }
    }

    /// Prepares exactly one statement.
    pub(crate) fn prepare(&self, sql: &str) -> Result<Prepared<'_>, Failure> {
        let sql = c_string(sql)?;
        let mut raw = ptr::null_mut();
        // SAFETY: the connection is open and the text a C string.
        let state = unsafe { ffi::duckdb_prepare(self.raw, sql.as_ptr(), &raw mut raw) };
        let prepared = Prepared { raw, _connection: std::marker::PhantomData };
        if state == ffi::DuckDBSuccess {
            return Ok(prepared);
        }
        // SAFETY: the statement is destroyed only when `prepared` drops, after its text is copied.
        Err(Failure::from_message(unsafe { failure::text(ffi::duckdb_prepare_error(prepared.raw)) }))
    }

    /// A handle that stops what this connection is doing, from any thread.
    pub(crate) fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// All rows of a query of our own whose columns are all text.
    pub(crate) fn texts(&self, sql: &str, parameters: &[&str]) -> Result<Vec<Vec<Option<String>>>, Failure> {
        let prepared = self.prepare(sql)?;
        for (index, text) in (1..).zip(parameters) {
            prepared.bind_text(index, text)?;
        }
        let mut stream = prepared.stream(&Keywords::default())?;
        let mut rows = Vec::new();
        while let Some(chunk) = stream.next_chunk()? {
            let columns: Vec<_> = (0..stream.columns().len()).map(|index| stream.vector(&chunk, index)).collect();
            for row in 0..chunk.len() {
                let text = |column: &Vector<'_>| {
                    (!column.is_null(row)).then(|| String::from_utf8_lossy(column.bytes(row)).into_owned())
                };
                rows.push(columns.iter().map(text).collect());
            }
        }
        Ok(rows)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Late interrupts must find nothing rather than a dead connection.
        self.interrupter.0.lock().unwrap_or_else(PoisonError::into_inner).0 = ptr::null_mut();
        // SAFETY: statements and results borrow the connection, so none is left.
        unsafe { ffi::duckdb_disconnect(&raw mut self.raw) };
    }
}

#[derive(Debug)]
struct Handle(ffi::duckdb_connection);

// SAFETY: `duckdb_interrupt`, the one thing done with it, is meant for other threads.
unsafe impl Send for Handle {}

/// Stops the statement that a connection is running; without one it does nothing.
///
/// DuckDB clears the flag when a statement starts, so an interrupt that comes a moment too early
/// is lost: whoever stops a statement repeats this until it has stopped.
#[derive(Debug, Clone)]
pub(crate) struct Interrupter(Arc<Mutex<Handle>>);

impl Interrupter {
    pub(crate) fn interrupt(&self) {
        let handle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !handle.0.is_null() {
            // SAFETY: the lock keeps `Connection::drop` from closing it meanwhile.
            unsafe { ffi::duckdb_interrupt(handle.0) };
        }
    }
}

/// What a prepared statement would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatementKind {
    Select,
    Explain,
    Other,
}

/// A statement, parsed and bound.
#[derive(Debug)]
pub(crate) struct Prepared<'c> {
    raw: ffi::duckdb_prepared_statement,
    _connection: std::marker::PhantomData<&'c Connection>,
}

impl<'c> Prepared<'c> {
    pub(crate) fn kind(&self) -> StatementKind {
        // SAFETY: the statement is alive.
        match unsafe { ffi::duckdb_prepared_statement_type(self.raw) } {
            ffi::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_SELECT => StatementKind::Select,
            ffi::duckdb_statement_type_DUCKDB_STATEMENT_TYPE_EXPLAIN => StatementKind::Explain,
            _ => StatementKind::Other,
        }
    }

    pub(crate) fn parameters(&self) -> u64 {
        // SAFETY: the statement is alive.
        unsafe { ffi::duckdb_nparams(self.raw) }
    }

    fn bind_text(&self, index: u64, text: &str) -> Result<(), Failure> {
        // SAFETY: pointer and length are those of one live string, which DuckDB copies.
        let state =
            unsafe { ffi::duckdb_bind_varchar_length(self.raw, index, text.as_ptr().cast(), text.len() as u64) };
        if state == ffi::DuckDBSuccess { Ok(()) } else { Err(Failure::from_message(Some("bind parameter".to_owned()))) }
    }

    /// Starts it. Rows come as they are made; the result as a whole is never in memory.
    pub(crate) fn stream(self, keywords: &Keywords) -> Result<Stream<'c>, Failure> {
        // SAFETY: an all-zero result is what DuckDB expects to fill.
        let mut result: ffi::duckdb_result = unsafe { std::mem::zeroed() };
        // SAFETY: the statement is alive and `result` lives through the call.
        let state = unsafe { ffi::duckdb_execute_prepared_streaming(self.raw, &raw mut result) };
        Stream::new(result, state == ffi::DuckDBSuccess, self, keywords)
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: this is the only owner.
            unsafe { ffi::duckdb_destroy_prepare(&raw mut self.raw) };
        }
    }
}

fn c_string(sql: &str) -> Result<CString, Failure> {
    CString::new(sql).map_err(|_| Failure::sql("the statement contains a NUL character"))
}

#[cfg(test)]
mod tests;
