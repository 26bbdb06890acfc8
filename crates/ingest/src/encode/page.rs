//! Compressed pages of one column chunk.

use std::io::Read;

use bytes::Bytes;
use parquet::{
    basic::{Encoding, PageType},
    column::page::{CompressedPage, Page, PageWriter as _},
    errors::Result as ParquetResult,
    file::{
        metadata::PageEncodingStats,
        reader::{ChunkReader, Length},
        writer::{SerializedPageWriter, TrackedWrite},
    },
};

use crate::Error;

/// The fastest level: at higher ones the CPU spends more on the last tenth of the size than on all
/// the rest of an ingest.
const ZSTD_LEVEL: i32 = 1;

/// A compression context: one for each thread, for it is larger than most columns.
pub(crate) struct Codec {
    compressor: zstd::bulk::Compressor<'static>,
    /// The page that is to be compressed next.
    pub(super) plain: Vec<u8>,
    output: Vec<u8>,
}

impl Codec {
    pub(crate) fn new() -> Result<Self, Error> {
        let compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(Error::during("set up compression"))?;
        Ok(Self { compressor, plain: Vec::new(), output: Vec::new() })
    }

    fn compress(&mut self) -> Result<Bytes, Error> {
        self.output.clear();
        self.output.reserve(zstd::zstd_safe::compress_bound(self.plain.len()));
        self.compressor.compress_to_buffer(&self.plain, &mut self.output).map_err(Error::during("compress page"))?;
        Ok(Bytes::copy_from_slice(&self.output))
    }
}

/// The pages of a column chunk, in file order.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    parts: Vec<Bytes>,
    /// Bytes of the dictionary page, which is the first of the parts where there is one.
    pub(super) dictionary_len: Option<u64>,
    pub(super) compressed: u64,
    pub(super) uncompressed: u64,
    /// Kind, encoding and number of the pages.
    pub(super) encodings: Vec<PageEncodingStats>,
}

impl Pages {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds the codec's plain bytes as a data page.
    pub(super) fn push_data(&mut self, rows: usize, encoding: Encoding, codec: &mut Codec) -> Result<(), Error> {
        let page = Page::DataPage {
            buf: codec.compress()?,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let part = self.serialize(page, codec.plain.len(), encoding)?;
        self.parts.push(part);
        Ok(())
    }

    /// Adds the codec's plain bytes as the dictionary page: known last, and first in the file.
    pub(super) fn put_dictionary(&mut self, entries: usize, codec: &mut Codec) -> Result<(), Error> {
        let page = Page::DictionaryPage {
            buf: codec.compress()?,
            num_values: entries as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let part = self.serialize(page, codec.plain.len(), Encoding::PLAIN)?;
        self.dictionary_len = Some(part.len() as u64);
        self.parts.insert(0, part);
        Ok(())
    }

    fn serialize(&mut self, page: Page, plain_len: usize, encoding: Encoding) -> Result<Bytes, Error> {
        let page_type = page.page_type();
        let mut sink = TrackedWrite::new(Vec::with_capacity(page.buffer().len() + 64));
        let spec = SerializedPageWriter::new(&mut sink)
            .write_page(CompressedPage::new(page, plain_len))
            .map_err(Error::during("write page"))?;
        self.compressed += spec.compressed_size as u64;
        self.uncompressed += spec.uncompressed_size as u64;
        self.count(page_type, encoding);
        Ok(Bytes::from(sink.into_inner().map_err(Error::during("write page"))?))
    }

    fn count(&mut self, page_type: PageType, encoding: Encoding) {
        let same = |stats: &&mut PageEncodingStats| stats.page_type == page_type && stats.encoding == encoding;
        match self.encodings.iter_mut().find(same) {
            Some(stats) => stats.count += 1,
            None => self.encodings.push(PageEncodingStats { page_type, encoding, count: 1 }),
        }
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.compressed
    }
}

/// So that the file writer can copy them; it reads from the start, once.
impl ChunkReader for Pages {
    type T = PagesReader;

    fn get_read(&self, start: u64) -> ParquetResult<PagesReader> {
        let mut reader = PagesReader { parts: self.parts.clone() };
        reader.parts.reverse();
        std::io::copy(&mut (&mut reader).take(start), &mut std::io::sink())?;
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(Bytes::from(bytes))
    }
}

/// Reads parts one after the other, the last of the list first.
pub(crate) struct PagesReader {
    parts: Vec<Bytes>,
}

impl Read for PagesReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(part) = self.parts.last_mut() {
            if part.is_empty() {
                self.parts.pop();
                continue;
            }
            let len = part.len().min(into.len());
            into[..len].copy_from_slice(&part.split_to(len));
            return Ok(len);
        }
        Ok(0)
    }
}
