use std::{mem::size_of, slice};

use duckdb::ffi;

use super::Type;

/// One column of a chunk, or a part of a nested one: values, nulls and children, read only.
///
/// DuckDB flattens a chunk before it hands it out, so value `row` of every vector lies at index
/// `row` of its data.
#[derive(Debug)]
pub(crate) struct Vector<'a> {
    ty: &'a Type,
    rows: usize,
    data: *const u8,
    validity: *const u64,
    children: Vec<Vector<'a>>,
}

impl<'a> Vector<'a> {
    /// # Safety
    /// `raw` is a vector of type `ty` with at least `rows` values, and lives as long as `'a`.
    pub(super) unsafe fn new(raw: ffi::duckdb_vector, ty: &'a Type, rows: usize) -> Self {
        // SAFETY: the caller's promise; the children asked for are those that the type has, and
        // they live as long as their parent.
        unsafe {
            let children = match ty {
                Type::List(child) => {
                    let rows = ffi::duckdb_list_vector_get_size(raw) as usize;
                    vec![Self::new(ffi::duckdb_list_vector_get_child(raw), child, rows)]
                }
                Type::Map(key, value) => {
                    // A map is a list of pairs.
                    let rows = ffi::duckdb_list_vector_get_size(raw) as usize;
                    let pairs = ffi::duckdb_list_vector_get_child(raw);
                    vec![
                        Self::new(ffi::duckdb_struct_vector_get_child(pairs, 0), key, rows),
                        Self::new(ffi::duckdb_struct_vector_get_child(pairs, 1), value, rows),
                    ]
                }
                Type::Array(child, size) => {
                    vec![Self::new(ffi::duckdb_array_vector_get_child(raw), child, rows * size)]
                }
                Type::Struct(fields) => {
                    let field = |(index, (_, ty)): (u64, &'a (String, Type))| {
                        Self::new(ffi::duckdb_struct_vector_get_child(raw, index), ty, rows)
                    };
                    (0..).zip(fields).map(field).collect()
                }
                Type::Union(members) => {
                    // The first child says which of the others holds the value.
                    let tags = Self::new(ffi::duckdb_struct_vector_get_child(raw, 0), TAG, rows);
                    let member = |(index, (_, ty)): (u64, &'a (String, Type))| {
                        Self::new(ffi::duckdb_struct_vector_get_child(raw, index), ty, rows)
                    };
                    std::iter::once(tags).chain((1..).zip(members).map(member)).collect()
                }
                _ => Vec::new(),
            };
            let data = ffi::duckdb_vector_get_data(raw).cast_const().cast();
            let validity = ffi::duckdb_vector_get_validity(raw).cast_const();
            Self { ty, rows, data, validity, children }
        }
    }

    /// The type of the values.
    pub(crate) fn ty(&self) -> &'a Type {
        self.ty
    }

    /// The parts of a nested type: fields of a struct, the one child of a list, key and value of
    /// a map, tag and members of a union.
    pub(crate) fn child(&self, index: usize) -> &Vector<'a> {
        &self.children[index]
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        assert!(row < self.rows, "row out of bounds");
        if self.validity.is_null() {
            return false;
        }
        // SAFETY: a mask, where there is one, has a bit for each row, 64 to a word.
        let word = unsafe { *self.validity.add(row / 64) };
        word >> (row % 64) & 1 == 0
    }

    /// The value at `row` of a fixed-width type.
    pub(crate) fn get<T: Fixed>(&self, row: usize) -> T {
        assert!(row < self.rows && !self.data.is_null(), "row out of bounds");
        assert!(width(self.ty) == size_of::<T>(), "{:?} is not read as {} bytes", self.ty, size_of::<T>());
        // SAFETY: the vector holds `rows` values of this width, and any bits are a valid `T`.
        unsafe { self.data.cast::<T>().add(row).read_unaligned() }
    }

    /// The bytes at `row` of a type of variable width: text (UTF-8), blobs, bit strings.
    pub(crate) fn bytes(&self, row: usize) -> &'a [u8] {
        assert!(row < self.rows && !self.data.is_null(), "row out of bounds");
        assert!(width(self.ty) == size_of::<Text>(), "{:?} is not read as bytes", self.ty);
        // SAFETY: the vector holds `rows` string headers. Up to 12 bytes lie in the header itself
        // (after the length), longer ones where its pointer says; both live as long as the vector.
        unsafe {
            let text = self.data.cast::<Text>().add(row);
            let length = (*text).length as usize;
            if length <= Text::INLINE {
                slice::from_raw_parts(text.cast::<u8>().add(4), length)
            } else {
                slice::from_raw_parts((*text).pointer, length)
            }
        }
    }

    /// Where in the child the values of the list or map at `row` lie.
    pub(crate) fn range(&self, row: usize) -> std::ops::Range<usize> {
        match self.ty {
            Type::Array(_, size) => row * size..(row + 1) * size,
            _ => {
                let [offset, length] = self.get::<[u64; 2]>(row);
                offset as usize..(offset + length) as usize
            }
        }
    }
}

/// What the tag of a union is stored as.
const TAG: &Type = &Type::UTinyInt;

/// DuckDB's header of a string: the length, then four bytes of it and a pointer, or all of it.
#[repr(C)]
struct Text {
    length: u32,
    _prefix: [u8; 4],
    pointer: *const u8,
}

impl Text {
    /// The longest string that lies in its header.
    const INLINE: usize = 12;
}

/// Types for which any bits are a value.
pub(crate) trait Fixed: Copy {}

macro_rules! fixed {
    ($($ty:ty),*) => { $(impl Fixed for $ty {})* };
}
fixed!(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128, f32, f64, [u64; 2], [i64; 2]);

/// Bytes a value takes in its vector; 0 where the children hold it.
const fn width(ty: &Type) -> usize {
    match ty {
        Type::Null | Type::Array(..) | Type::Struct(_) | Type::Union(_) => 0,
        Type::Boolean | Type::TinyInt | Type::UTinyInt => 1,
        Type::SmallInt | Type::USmallInt => 2,
        Type::Integer | Type::UInteger | Type::Float | Type::Date => 4,
        Type::BigInt
        | Type::UBigInt
        | Type::Double
        | Type::Time
        | Type::TimeNs
        | Type::TimeTz
        | Type::Timestamp
        | Type::TimestampS
        | Type::TimestampMs
        | Type::TimestampNs
        | Type::TimestampTz => 8,
        Type::HugeInt
        | Type::UHugeInt
        | Type::Uuid
        | Type::Interval
        | Type::BigNum
        | Type::Varchar
        | Type::Json
        | Type::Blob
        | Type::Bit
        | Type::Geometry
        | Type::List(_)
        | Type::Map(..) => 16,
        // The narrowest integer that the digits, or the number of values, fit.
        Type::Decimal { width, .. } => match *width {
            0..=4 => 2,
            5..=9 => 4,
            10..=18 => 8,
            _ => 16,
        },
        Type::Enum(values) => {
            if values.len() <= 0xff {
                1
            } else if values.len() <= 0xffff {
                2
            } else {
                4
            }
        }
    }
}
