//! Which rows are new, for any number of rows in bounded memory.
//!
//! Hashes are sorted into 256 buckets by their first byte; what does not fit in memory goes to a
//! temporary file, chunk by chunk. Then one bucket after the other is read back and sorted. A hash
//! set would take 20 to 40 bytes a row for good; this takes one bit a row, and one bucket.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

use crate::error::{Error, Result};

/// As much of a SHA-256 as tells rows apart: two of 10^12 rows agree by chance once in 10^14 runs.
pub(crate) type Key = [u8; 16];

const BUCKETS: usize = 256;
/// A key, and the row's number plus one; 0 for a row that was there before. A key that the row had in an
/// earlier release has [`FORMER`] beside the number.
const RECORD: usize = 16 + 8;
const FORMER: u64 = 1 << 63;
/// Records that a bucket gathers before it spills: with all buckets 6 MB at most.
const CHUNK: usize = 1024 * RECORD;

/// Gathers keys, then tells which rows are the first with theirs.
pub(crate) struct Dedup {
    buckets: Vec<Bucket>,
    spill: Spill,
    rows: u64,
    has_former: bool,
}

#[derive(Default)]
struct Bucket {
    bytes: Vec<u8>,
    /// Where its full chunks lie in the spill file.
    chunks: Vec<u64>,
}

struct Spill {
    folder: Option<std::path::PathBuf>,
    file: Option<File>,
    length: u64,
}

/// The rows that are new.
pub(crate) struct Fresh {
    rows: Bits,
    count: u64,
}

/// One bit a row.
struct Bits(Vec<u64>);

impl Dedup {
    /// Spills into `folder`, or where the system has its temporary files.
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        let buckets = std::iter::repeat_with(Bucket::default).take(BUCKETS).collect();
        Self {
            buckets,
            spill: Spill { folder: folder.map(Path::to_owned), file: None, length: 0 },
            rows: 0,
            has_former: false,
        }
    }

    /// Adds a key that was there before.
    pub(crate) fn known(&mut self, key: Key) -> Result<()> {
        self.add(key, 0)
    }

    /// Adds the key of the next row, and the one by which it may be known from before, if that is another.
    pub(crate) fn row(&mut self, key: Key, former: Option<Key>) -> Result<()> {
        self.rows += 1;
        self.add(key, self.rows)?;
        match former {
            None => Ok(()),
            Some(former) => {
                self.has_former = true;
                self.add(former, self.rows | FORMER)
            }
        }
    }

    fn add(&mut self, key: Key, row: u64) -> Result<()> {
        let bucket = &mut self.buckets[usize::from(key[0])];
        bucket.bytes.extend_from_slice(&key);
        bucket.bytes.extend_from_slice(&row.to_le_bytes());
        if bucket.bytes.len() >= CHUNK {
            let at = self.spill.write(&bucket.bytes)?;
            bucket.chunks.push(at);
            bucket.bytes.clear();
        }
        Ok(())
    }

    /// Of the rows with one key the first is new, unless the key was there before, or one that any of
    /// them had in an earlier release was.
    pub(crate) fn resolve(self) -> Result<Fresh> {
        let mut known = Bits::of(if self.has_former { self.rows } else { 0 });
        if self.has_former {
            self.each_key(|records| {
                if let Some((_, 0)) = records.first() {
                    records
                        .iter()
                        .filter(|(_, row)| row & FORMER != 0)
                        .for_each(|(_, row)| known.set((row & !FORMER) - 1));
                }
            })?;
        }
        let mut fresh = Fresh { rows: Bits::of(self.rows), count: 0 };
        self.each_key(|records| {
            let rows = || records.iter().map(|(_, row)| *row).take_while(|row| row & FORMER == 0);
            if let Some(first @ 1..) = rows().next()
                && !rows().any(|row| known.has(row - 1))
            {
                fresh.rows.set(first - 1);
                fresh.count += 1;
            }
        })?;
        Ok(fresh)
    }

    /// Calls `each` with the records of one key after the other: a known one (0) before the rows in their
    /// order, and these before the rows that had the key in an earlier release.
    fn each_key(&self, mut each: impl FnMut(&[(Key, u64)])) -> Result<()> {
        let mut bytes = Vec::new();
        let mut records: Vec<(Key, u64)> = Vec::new();
        for bucket in &self.buckets {
            bytes.clear();
            for at in &bucket.chunks {
                self.spill.read(*at, &mut bytes)?;
            }
            bytes.extend_from_slice(&bucket.bytes);
            records.clear();
            records.extend(bytes.chunks_exact(RECORD).filter_map(|record| {
                let (key, row) = record.split_first_chunk::<16>()?;
                Some((*key, u64::from_le_bytes(row.try_into().ok()?)))
            }));
            records.sort_unstable();
            records.chunk_by(|a, b| a.0 == b.0).for_each(&mut each);
        }
        Ok(())
    }
}

impl Spill {
    fn write(&mut self, bytes: &[u8]) -> Result<u64> {
        if self.file.is_none() {
            let file = match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder),
                None => tempfile::tempfile(),
            };
            self.file = Some(file.map_err(Error::Spill)?);
        }
        let at = self.length;
        if let Some(file) = &self.file {
            file.write_all_at(bytes, at).map_err(Error::Spill)?;
            self.length += bytes.len() as u64;
        }
        Ok(at)
    }

    fn read(&self, at: u64, into: &mut Vec<u8>) -> Result<()> {
        let start = into.len();
        into.resize(start + CHUNK, 0);
        match &self.file {
            Some(file) => file.read_exact_at(&mut into[start..], at).map_err(Error::Spill),
            None => Ok(()),
        }
    }
}

impl Bits {
    fn of(rows: u64) -> Self {
        Self(vec![0; usize::try_from(rows.div_ceil(64)).unwrap_or(usize::MAX)])
    }

    fn set(&mut self, row: u64) {
        if let Some(word) = usize::try_from(row / 64).ok().and_then(|word| self.0.get_mut(word)) {
            *word |= 1 << (row % 64);
        }
    }

    fn has(&self, row: u64) -> bool {
        let word = usize::try_from(row / 64).ok().and_then(|word| self.0.get(word));
        word.is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

impl Fresh {
    /// Whether row `row`, counted from 0, is new.
    pub(crate) fn has(&self, row: u64) -> bool {
        self.rows.has(row)
    }

    /// How many are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_set(
            known in prop::collection::vec(0_u16..40, 0..30),
            // A row, and which of its two spellings in an earlier release it has.
            rows in prop::collection::vec((0_u16..60, 0_u16..3), 0..200),
        ) {
            let key = |n: u16| { let mut key = [0; 16]; key[0] = n as u8 % 3; key[8..10].copy_from_slice(&n.to_le_bytes()); key };
            // Of a row below 20 the first spelling is that of today, of the others both are of before.
            let former = |(n, spelling): (u16, u16)| match spelling { 0 if n < 20 => None, _ => Some(key(1_000 + n * 3 + spelling)) };
            // What is known is known by today's key, or by that of one spelling.
            let spelled = |n: u16| (n / 4, n % 4);
            let mut dedup = Dedup::new(None);
            for &n in &known {
                let (n, spelling) = spelled(n);
                dedup.known(if spelling == 3 { key(n) } else { former((n, spelling)).unwrap_or_else(|| key(n)) }).unwrap();
            }
            for &(n, spelling) in &rows { dedup.row(key(n), former((n, spelling))).unwrap(); }
            // A row is known if it is there in any spelling that the log has, too.
            let is_known = |row: u16| known.iter().map(|&n| spelled(n)).any(|(n, spelling)| {
                let by_today = spelling == 3 || former((n, spelling)).is_none();
                n == row && (by_today || rows.contains(&(n, spelling)))
            });
            let mut set: HashSet<u16> = HashSet::new();
            let fresh = dedup.resolve().unwrap();
            let expected: Vec<bool> = rows.iter().map(|&(n, _)| set.insert(n) && !is_known(n)).collect();
            let got: Vec<bool> = (0..rows.len() as u64).map(|row| fresh.has(row)).collect();
            prop_assert_eq!(fresh.count(), expected.iter().filter(|&&new| new).count() as u64);
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn what_spills_is_read_back() {
        // One bucket, several chunks; every key twice, the second time in another chunk.
        const N: u64 = 5_000;
        let folder = tempfile::tempdir().unwrap();
        let mut dedup = Dedup::new(Some(folder.path()));
        let key = |n: u64| {
            let mut key = [7; 16];
            key[8..].copy_from_slice(&n.to_be_bytes());
            key
        };
        for n in 0..100 {
            dedup.known(key(n)).unwrap();
        }
        for n in (0..N).chain(0..N) {
            dedup.row(key(n), None).unwrap();
        }
        assert!(dedup.spill.length > 0);
        let fresh = dedup.resolve().unwrap();
        assert_eq!(fresh.count(), N - 100);
        assert!((0..2 * N).all(|row| fresh.has(row) == (100..N).contains(&row)));
    }
}
