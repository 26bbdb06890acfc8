//! Datasets in memory.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use async_trait::async_trait;
use bytes::Bytes;
use lakehouse_objstore::{Memory, ObjectStore, PutOptions, body};
use lakehouse_query::{Catalog, Error, Snapshot};
use lakehouse_types::{
    Name, ObjectKey,
    catalog::{Column, DataObject, Manifest},
    escape_segment,
};
use parquet::arrow::ArrowWriter;
use sha2::{Digest as _, Sha256};

/// A store and what a catalog says of it.
#[derive(Default)]
pub(crate) struct Lake {
    pub(crate) store: Arc<Memory>,
    manifests: std::sync::Mutex<Vec<Manifest>>,
}

#[async_trait]
impl Catalog for Lake {
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        Ok(Arc::new(Snapshot::new(self.manifests())))
    }
}

impl Lake {
    /// Makes `name` a dataset of `rows` rows: `id` counts from `first`, `name` is its text,
    /// `value` half of it.
    pub(crate) async fn put(&self, name: &str, first: i64, rows: usize) -> Manifest {
        let bytes = parquet(first, rows);
        let column = |name: &str, sql_type: &str| Column { name: name.into(), sql_type: sql_type.into() };
        let schema = vec![column("id", "BIGINT"), column("name", "VARCHAR"), column("value", "DOUBLE")];
        self.put_files(name, schema, rows, &[bytes]).await
    }

    /// Makes `name` a dataset of as many files as if the first had been appended to: each of `rows` rows
    /// and `columns` whole numbers `c0`, `c1`, ..
    pub(crate) async fn put_wide(&self, name: &str, columns: usize, rows: usize, files: usize) -> Manifest {
        let column = |index: usize| Column { name: format!("c{index}"), sql_type: "BIGINT".into() };
        let files: Vec<Bytes> = (0..files).map(|file| wide_parquet(columns, rows, 9 * file as i64)).collect();
        self.put_files(name, (0..columns).map(column).collect(), rows, &files).await
    }

    /// `rows` are those of each file.
    async fn put_files(&self, name: &str, schema: Vec<Column>, rows: usize, files: &[Bytes]) -> Manifest {
        let mut objects = Vec::with_capacity(files.len());
        for bytes in files {
            let sha256 = hex::encode(Sha256::digest(bytes));
            let key = ObjectKey::new(format!("datasets/{}/{sha256}.parquet", escape_segment(name))).unwrap();
            self.store.put(&key, body(bytes.clone()), PutOptions::default()).await.unwrap();
            objects.push(DataObject {
                key,
                size: bytes.len() as u64,
                rows: rows as u64,
                fingerprint: sha256.clone(),
                sha256: Some(sha256),
            });
        }
        let manifest = Manifest {
            name: Name::new(name).unwrap(),
            version: 1,
            schema_fingerprint: "f".into(),
            schema,
            rows: objects.iter().map(|object| object.rows).sum(),
            bytes: objects.iter().map(|object| object.size).sum(),
            objects,
            created_ms: 0,
            updated_ms: 0,
        };
        let mut manifests = self.manifests.lock().unwrap();
        manifests.retain(|known| known.name != manifest.name);
        manifests.push(manifest.clone());
        manifest
    }

    pub(crate) fn manifests(&self) -> Vec<Manifest> {
        self.manifests.lock().unwrap().clone()
    }
}

fn parquet(first: i64, rows: usize) -> Bytes {
    let ids = || (first..).take(rows);
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("value", DataType::Float64, false),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(ids())),
        Arc::new(StringArray::from_iter_values(ids().map(|id| format!("n{id}")))),
        Arc::new(Float64Array::from_iter_values(ids().map(|id| id as f64 / 2.0))),
    ];
    write(schema, columns)
}

fn wide_parquet(columns: usize, rows: usize, first: i64) -> Bytes {
    let field = |index: usize| Field::new(format!("c{index}"), DataType::Int64, false);
    let schema = Arc::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()));
    let values = |index: usize| (0..rows as i64).map(move |row| first + index as i64 + row * 1_000);
    let column = |index: usize| -> ArrayRef { Arc::new(Int64Array::from_iter_values(values(index))) };
    write(schema, (0..columns).map(column).collect())
}

fn write(schema: Arc<Schema>, columns: Vec<ArrayRef>) -> Bytes {
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}
