//! What crosses the socket between the service and a worker.
//!
//! A frame is its length (u32, little endian, without itself), one byte that says what it is,
//! and the payload: a message in JSON, or bytes of a result. Both ends are the same build.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{duck::Failure, encode::Format, gate::Inspection};

/// Bytes before the payload.
pub(crate) const HEADER: usize = 5;

/// A frame longer than this is no frame: a piece of a result is far shorter, and so is a statement
/// whose datasets have some hundred thousand files.
pub(crate) const MAX_FRAME: usize = 64 << 20;

/// A message in JSON.
pub(crate) const MESSAGE: u8 = b'M';

/// Bytes of a result.
pub(crate) const DATA: u8 = b'D';

/// To a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// The first message.
    Setup(Setup),
    /// Judge a statement.
    Inspect {
        /// The statement.
        sql: String,
    },
    /// Run a statement that was judged.
    Run(Run),
    /// Stop the run with this number, if it is still going on.
    Cancel {
        /// [`Run::id`].
        id: u64,
    },
}

/// What a worker may use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The one directory that it may read.
    pub(crate) cache_dir: PathBuf,
    /// The one directory that it may write.
    pub(crate) spill_dir: PathBuf,
    /// DuckDB's memory limit, in bytes.
    pub(crate) memory_bytes: u64,
    /// The kernel's limit of the process, in bytes.
    pub(crate) limit_bytes: u64,
    /// DuckDB's limit for spilled data, in bytes.
    pub(crate) spill_bytes: u64,
    /// DuckDB's threads.
    pub(crate) threads: usize,
    /// Is it a process of its own, to be locked in?
    pub(crate) confine: bool,
}

/// A statement to run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Different for every run of a worker.
    pub(crate) id: u64,
    /// The statement.
    pub(crate) sql: String,
    /// What its tables are.
    pub(crate) tables: Vec<Table>,
    /// How the result is written.
    pub(crate) format: Format,
    /// Most bytes of the result.
    pub(crate) max_bytes: u64,
}

/// A table of a statement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    /// As the statement spells it.
    pub(crate) name: String,
    /// Its Parquet files, relative to the cache's directory.
    pub(crate) files: Vec<String>,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    /// It is set up.
    Ready {
        /// How far the operating system locks it in.
        confinement: Confinement,
    },
    /// The statement may run.
    Inspected(Inspection),
    /// The run is over, and all its data sent.
    Done {
        /// Rows of the result.
        rows: u64,
    },
    /// The request failed.
    Failed(Failure),
}

/// How far the operating system locks a worker in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// Files, network and signals, as far as this build knows how.
    Full,
    /// Some of it: an older kernel.
    Partial,
    /// Limits of memory only: the kernel has no Landlock, or a filter of system calls holds it back.
    LimitsOnly,
    /// Not at all: it is a thread.
    None,
}

/// Writes one frame.
pub(crate) fn write_frame(to: &mut impl Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    // One write for the two parts where the payload is small, as most messages are.
    let header = header(kind, payload.len())?;
    if payload.len() <= 4_096 {
        let mut frame = Vec::with_capacity(HEADER + payload.len());
        frame.extend_from_slice(&header);
        frame.extend_from_slice(payload);
        return to.write_all(&frame);
    }
    to.write_all(&header)?;
    to.write_all(payload)
}

/// The bytes before a payload of `length` bytes.
pub(crate) fn header(kind: u8, length: usize) -> io::Result<[u8; HEADER]> {
    let length = u32::try_from(length).ok().filter(|length| *length as usize <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the frame is too long"))?;
    let [a, b, c, d] = length.to_le_bytes();
    Ok([a, b, c, d, kind])
}

/// Length of the payload and kind of the frame that `header` begins.
pub(crate) fn parse_header(header: [u8; HEADER]) -> io::Result<(usize, u8)> {
    let [a, b, c, d, kind] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAX_FRAME || !matches!(kind, MESSAGE | DATA) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no frame of this protocol"));
    }
    Ok((length, kind))
}

/// Writes one message.
pub(crate) fn write_message(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    write_frame(to, MESSAGE, &serde_json::to_vec(message)?)
}

/// Reads one message; `None` where the other end has closed.
pub(crate) fn read_message<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut header = [0; HEADER];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let (length, _) = parse_header(header)?;
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    Ok(Some(serde_json::from_slice(&payload)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were_and_the_end_is_no_error() {
        let mut wire = Vec::new();
        write_message(&mut wire, &Request::Cancel { id: 7 }).unwrap();
        write_message(&mut wire, &Request::Inspect { sql: "x".repeat(10_000) }).unwrap();
        let mut from = wire.as_slice();
        assert!(matches!(read_message(&mut from).unwrap(), Some(Request::Cancel { id: 7 })));
        assert!(matches!(read_message(&mut from).unwrap(), Some(Request::Inspect { sql }) if sql.len() == 10_000));
        assert!(read_message::<Request>(&mut from).unwrap().is_none());
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        assert!(parse_header([0xff, 0xff, 0xff, 0xff, MESSAGE]).is_err());
        assert!(parse_header([1, 0, 0, 0, b'x']).is_err());
        assert!(header(DATA, MAX_FRAME + 1).is_err());
    }
}
