use std::sync::Arc;

use arrow::{array::RecordBatch, compute::concat_batches, error::ArrowError, ipc::writer::StreamWriter};

use super::{Sink, for_each_chunk};
use crate::duck::{Failure, FailureKind, Stream};

/// Rows in a batch of the answer. DuckDB hands out 2,048 at a time, and for batches that small
/// the frame around each costs more than joining them does.
const BATCH_ROWS: usize = 16_384;

/// Bytes of rows that wait to be joined: long strings make a batch before its rows are full.
const BATCH_BYTES: usize = 1 << 20;

pub(super) fn write(
    stream: &mut Stream<'_>,
    sink: &mut Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, Failure> {
    let form = stream.arrow_form()?;
    let mut writer = StreamWriter::try_new(Vec::new(), form.schema()).map_err(internal)?;
    hand_over(&mut writer, sink)?;
    let mut waiting: Vec<RecordBatch> = Vec::new();
    let (mut rows_waiting, mut bytes_waiting) = (0, 0);
    let rows = for_each_chunk(stream, cancelled, |_, chunk| {
        let batch = form.batch(chunk)?;
        rows_waiting += batch.num_rows();
        bytes_waiting += batch.get_array_memory_size();
        waiting.push(batch);
        if rows_waiting >= BATCH_ROWS || bytes_waiting >= BATCH_BYTES {
            write_batches(&mut writer, &mut waiting, sink)?;
            (rows_waiting, bytes_waiting) = (0, 0);
        }
        Ok(())
    })?;
    write_batches(&mut writer, &mut waiting, sink)?;
    writer.finish().map_err(internal)?;
    hand_over(&mut writer, sink)?;
    Ok(rows)
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

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn internal(error: ArrowError) -> Failure {
    Failure::new(FailureKind::Internal, format!("write Arrow stream: {error}"))
}
