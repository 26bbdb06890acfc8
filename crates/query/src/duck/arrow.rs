use std::{ptr::NonNull, sync::Arc};

use arrow::{
    array::{RecordBatch, StructArray},
    datatypes::{Schema, SchemaRef},
    ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi},
};
use duckdb::ffi;

use super::{Chunk, Failure, FailureKind, failure, stream::c_text};

/// A result's schema in Arrow, and the way its chunks become batches.
#[derive(Debug)]
pub(crate) struct ArrowForm {
    options: Options,
    raw: FFI_ArrowSchema,
    schema: SchemaRef,
}

#[derive(Debug)]
struct Options(NonNull<ffi::_duckdb_arrow_options>);

impl Drop for Options {
    fn drop(&mut self) {
        let mut raw = self.0.as_ptr();
        // SAFETY: this is the only owner.
        unsafe { ffi::duckdb_destroy_arrow_options(&raw mut raw) };
    }
}

/// Logical types that are destroyed together.
struct Types(Vec<ffi::duckdb_logical_type>);

impl Drop for Types {
    fn drop(&mut self) {
        for ty in &mut self.0 {
            // SAFETY: this is the only owner.
            unsafe { ffi::duckdb_destroy_logical_type(ty) };
        }
    }
}

impl ArrowForm {
    /// # Safety
    /// `result` is alive and has `columns` columns.
    pub(super) unsafe fn of_result(result: *mut ffi::duckdb_result, columns: usize) -> Result<Self, Failure> {
        // SAFETY: the caller's promise; names and types outlive the call that reads them.
        let (options, raw) = unsafe {
            let options = NonNull::new(ffi::duckdb_result_get_arrow_options(result))
                .map(Options)
                .ok_or_else(|| Failure::new(FailureKind::Internal, "the result has no Arrow options"))?;
            let indices = 0..columns as u64;
            let mut types =
                Types(indices.clone().map(|index| ffi::duckdb_column_logical_type(result, index)).collect());
            let names: Vec<_> =
                indices.map(|index| c_text(ffi::duckdb_column_name(result, index)).unwrap_or_default()).collect();
            let mut name_pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
            let mut raw = FFI_ArrowSchema::empty();
            failure::of_error_data(ffi::duckdb_to_arrow_schema(
                options.0.as_ptr(),
                types.0.as_mut_ptr(),
                name_pointers.as_mut_ptr(),
                columns as u64,
                (&raw mut raw).cast(),
            ))?;
            (options, raw)
        };
        let schema =
            Schema::try_from(&raw).map_err(|error| Failure::sql(format!("Arrow has no form for it: {error}")))?;
        Ok(Self { options, raw, schema: Arc::new(schema) })
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A chunk of the result that this form was made from.
    pub(crate) fn batch(&self, chunk: &Chunk) -> Result<RecordBatch, Failure> {
        let mut array = FFI_ArrowArray::empty();
        // SAFETY: options and chunk are alive. Both array types are Arrow's C data interface; on
        // success the array owns its buffers, and they match the schema of the same result.
        let data = unsafe {
            failure::of_error_data(ffi::duckdb_data_chunk_to_arrow(
                self.options.0.as_ptr(),
                chunk.0,
                (&raw mut array).cast(),
            ))?;
            from_ffi(array, &self.raw)
        };
        let data = data.map_err(|error| Failure::new(FailureKind::Internal, format!("read Arrow array: {error}")))?;
        Ok(RecordBatch::from(StructArray::from(data)))
    }
}
