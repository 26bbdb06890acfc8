//! Arrow's IPC stream, made from DuckDB's vectors and not by DuckDB: its own conversion bends values
//! that Arrow's types can't hold (UHUGEINT, long intervals, the offset of a TIMETZ) without a word.

mod build;
mod form;

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::concat_batches,
    datatypes::SchemaRef,
    ipc::writer::StreamWriter,
};

use self::build::{Builder, internal};
use super::{Sink, for_each_chunk};
use crate::duck::{Chunk, Failure, FailureKind, Stream, Type, Vector};

/// Rows in a batch of the answer. DuckDB hands out 2,048 at a time, and for batches that small
/// the frame around each costs more than joining them does.
const BATCH_ROWS: usize = 16_384;

/// Bytes of rows that wait to be joined: long strings make a batch before its rows are full.
const BATCH_BYTES: usize = 1 << 20;

/// Arrow counts the bytes of a batch's text with 31 bits.
const MAX_ROW_BYTES: usize = 1 << 30;

pub(super) fn write(
    stream: &mut Stream<'_>,
    sink: &mut Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, Failure> {
    let schema = form::schema(stream)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(internal)?;
    hand_over(&mut writer, sink)?;
    let mut waiting: Vec<RecordBatch> = Vec::new();
    let (mut rows_waiting, mut bytes_waiting) = (0, 0);
    let rows = for_each_chunk(stream, cancelled, |stream, chunk| {
        let vectors: Vec<_> = (0..stream.columns().len()).map(|index| stream.vector(chunk, index)).collect();
        let mut from = 0;
        while from < chunk.len() {
            let to = fitting(&vectors, from, chunk)?;
            let batch = batch(stream, &vectors, from..to, &schema)?;
            from = to;
            rows_waiting += batch.num_rows();
            bytes_waiting += batch.get_array_memory_size();
            waiting.push(batch);
            if rows_waiting >= BATCH_ROWS || bytes_waiting >= BATCH_BYTES {
                write_batches(&mut writer, &mut waiting, sink)?;
                (rows_waiting, bytes_waiting) = (0, 0);
            }
        }
        Ok(())
    })?;
    write_batches(&mut writer, &mut waiting, sink)?;
    writer.finish().map_err(internal)?;
    hand_over(&mut writer, sink)?;
    Ok(rows)
}

/// Up to which row of a chunk a batch goes from `from` on. One long text may stand in all rows of a
/// chunk, and then the batch is many times larger than the chunk is.
fn fitting(vectors: &[Vector<'_>], from: usize, chunk: &Chunk) -> Result<usize, Failure> {
    let mut bytes = 0_usize;
    for row in from..chunk.len() {
        let of_row = vectors.iter().fold(0_usize, |sum, vector| sum.saturating_add(long_bytes(vector, row)));
        if of_row > MAX_ROW_BYTES {
            return Err(Failure::new(FailureKind::Memory, "a row is too long for Arrow"));
        }
        bytes += of_row;
        if bytes > BATCH_BYTES && row > from {
            return Ok(row);
        }
    }
    Ok(chunk.len())
}

/// About how many bytes the texts of a value take; no others can be long.
fn long_bytes(vector: &Vector<'_>, row: usize) -> usize {
    if vector.is_null(row) {
        return 0;
    }
    match vector.ty() {
        Type::Varchar | Type::Json | Type::Blob | Type::Geometry | Type::BigNum => vector.bytes(row).len(),
        // A character for each bit.
        Type::Bit => vector.bytes(row).len().saturating_mul(8),
        Type::List(_) | Type::Array(..) => {
            vector.range(row).fold(0, |sum: usize, index| sum.saturating_add(8 + long_bytes(vector.child(0), index)))
        }
        Type::Map(..) => vector.range(row).fold(0, |sum: usize, index| {
            sum.saturating_add(long_bytes(vector.child(0), index))
                .saturating_add(16 + long_bytes(vector.child(1), index))
        }),
        Type::Struct(fields) => {
            (0..fields.len()).fold(0, |sum: usize, index| sum.saturating_add(long_bytes(vector.child(index), row)))
        }
        Type::Union(members) => {
            let tag = usize::from(vector.child(0).get::<u8>(row));
            if tag < members.len() { long_bytes(vector.child(1 + tag), row) } else { 0 }
        }
        _ => 0,
    }
}

fn batch(
    stream: &Stream<'_>,
    vectors: &[Vector<'_>],
    range: std::ops::Range<usize>,
    schema: &SchemaRef,
) -> Result<RecordBatch, Failure> {
    let rows: Vec<Option<usize>> = range.map(Some).collect();
    let column = |(index, vector): (usize, &Vector<'_>)| {
        let builder = Builder { column: &stream.columns()[index].name };
        builder.array(vector, &rows, schema.field(index).data_type())
    };
    let columns: Result<Vec<ArrayRef>, Failure> = vectors.iter().enumerate().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns?, &options).map_err(internal)
}

fn write_batches(
    writer: &mut StreamWriter<Vec<u8>>,
    waiting: &mut Vec<RecordBatch>,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let joined = match waiting.as_slice() {
        [] => return Ok(()),
        [only] => only.clone(),
        [first, ..] => concat_batches(&Arc::clone(first.schema_ref()), waiting.iter()).map_err(internal)?,
    };
    waiting.clear();
    writer.write(&joined).map_err(internal)?;
    hand_over(writer, sink)
}

/// Passes on what the writer has written.
fn hand_over(writer: &mut StreamWriter<Vec<u8>>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    sink.buffer().append(writer.get_mut());
    sink.part_done()
}

#[cfg(test)]
mod tests;
