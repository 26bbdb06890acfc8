use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use parquet::{
    basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as PhysicalType, ZstdLevel},
    column::writer::ColumnCloseResult,
    errors::Result as ParquetResult,
    file::{
        metadata::{ColumnChunkMetaData, KeyValue},
        properties::WriterProperties,
        writer::SerializedFileWriter,
    },
    schema::types::{ColumnDescPtr, Type, TypePtr},
};
use sha2::{Digest as _, Sha256};

use super::EncodedColumn;
use crate::{Error, schema::ColumnType};

/// In every footer. It names the format of the pages and no release, for equal input must give equal
/// bytes after an upgrade too.
const CREATED_BY: &str = "lakehouse-ingest version 1";

/// Bytes of a `DECIMAL`: enough for 38 digits.
const DECIMAL_BYTES: i32 = 16;

/// A Parquet file as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// The schema of a file: optional columns with field ids from 1 on, in order.
pub(crate) fn file_schema(names: &[String], types: &[ColumnType]) -> Result<TypePtr, Error> {
    let fields: ParquetResult<Vec<TypePtr>> =
        names.iter().zip(types).zip(1..).map(|((name, ty), id)| field(name, *ty, id).map(Arc::new)).collect();
    let group = fields.and_then(|fields| Type::group_type_builder("schema").with_fields(fields).build());
    group.map(Arc::new).map_err(Error::during("build schema"))
}

fn field(name: &str, ty: ColumnType, id: i32) -> ParquetResult<Type> {
    let micros = |utc| LogicalType::Timestamp { is_adjusted_to_u_t_c: utc, unit: TimeUnit::MICROS };
    let (physical, logical) = match ty {
        ColumnType::Boolean => (PhysicalType::BOOLEAN, None),
        ColumnType::BigInt => (PhysicalType::INT64, None),
        ColumnType::Double => (PhysicalType::DOUBLE, None),
        ColumnType::Date => (PhysicalType::INT32, Some(LogicalType::Date)),
        ColumnType::Time => {
            let time = LogicalType::Time { is_adjusted_to_u_t_c: false, unit: TimeUnit::MICROS };
            (PhysicalType::INT64, Some(time))
        }
        ColumnType::Timestamp => (PhysicalType::INT64, Some(micros(false))),
        ColumnType::TimestampTz => (PhysicalType::INT64, Some(micros(true))),
        ColumnType::Varchar => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnType::Decimal { precision, scale } => {
            let decimal = LogicalType::Decimal { scale: scale.into(), precision: precision.into() };
            (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(decimal))
        }
    };
    let builder = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .with_id(Some(id));
    match ty {
        ColumnType::Decimal { precision, scale } => {
            builder.with_length(DECIMAL_BYTES).with_precision(precision.into()).with_scale(scale.into()).build()
        }
        _ => builder.build(),
    }
}

/// Writes a file, one row group after the other.
pub(crate) struct FileWriter {
    inner: SerializedFileWriter<HashingFile>,
    columns: Vec<ColumnDescPtr>,
}

impl FileWriter {
    /// Begins a file.
    pub(crate) fn create(file: File, schema: TypePtr) -> Result<Self, Error> {
        let properties =
            WriterProperties::builder().set_created_by(CREATED_BY.to_owned()).set_offset_index_disabled(true).build();
        let file = HashingFile { file, hash: Sha256::new(), size: 0 };
        let inner = SerializedFileWriter::new(file, schema, Arc::new(properties))
            .map_err(Error::during("begin Parquet file"))?;
        let columns = inner.schema_descr().columns().to_vec();
        Ok(Self { inner, columns })
    }

    /// Writes a row group: one chunk for each column, in order.
    pub(crate) fn write_group(&mut self, columns: Vec<EncodedColumn>) -> Result<(), Error> {
        self.try_write_group(columns).map_err(Error::during("write row group"))
    }

    fn try_write_group(&mut self, columns: Vec<EncodedColumn>) -> ParquetResult<()> {
        let mut group = self.inner.next_row_group()?;
        for (column, descriptor) in columns.into_iter().zip(&self.columns) {
            let EncodedColumn { ty, pages, rows, nulls, distinct, bounds } = column;
            let mut encodings: Vec<Encoding> = pages.encodings.iter().map(|stats| stats.encoding).collect();
            encodings.push(Encoding::RLE);
            let metadata = ColumnChunkMetaData::builder(descriptor.clone())
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_encodings(encodings)
                .set_page_encoding_stats(pages.encodings.clone())
                .set_total_compressed_size(pages.compressed.cast_signed())
                .set_total_uncompressed_size(pages.uncompressed.cast_signed())
                .set_num_values(rows.cast_signed())
                .set_dictionary_page_offset(pages.dictionary_len.map(|_| 0))
                .set_data_page_offset(pages.dictionary_len.unwrap_or(0).cast_signed())
                .set_statistics(bounds.finish(ty, nulls, distinct))
                .build()?;
            let close = ColumnCloseResult {
                bytes_written: pages.compressed,
                rows_written: rows,
                metadata,
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            group.append_column(&pages, close)?;
        }
        group.close()?;
        Ok(())
    }

    /// Writes the footer, with `notes` in it.
    pub(crate) fn finish(mut self, notes: &[(&str, String)]) -> Result<Written, Error> {
        for (key, value) in notes {
            self.inner.append_key_value_metadata(KeyValue::new((*key).to_owned(), value.clone()));
        }
        let file = self.inner.into_inner().map_err(Error::during("write footer"))?;
        Ok(Written { size: file.size, sha256: hex::encode(file.hash.finalize()) })
    }
}

/// A file that knows the hash of what was written to it.
struct HashingFile {
    file: File,
    hash: Sha256,
    size: u64,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
