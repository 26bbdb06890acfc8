use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lakehouse_catalog::{Catalog, Snapshot};
use lakehouse_common::ApiError;
use lakehouse_types::{
    ErrorKind,
    catalog::{ListResponse, Manifest},
};
use serde::Serialize;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    catalog: Catalog,
    lists: Arc<Mutex<Lists>>,
}

/// The encoded lists of one state of the catalog: many queries ask for the same one.
#[derive(Default)]
struct Lists {
    tag: String,
    short: Option<Bytes>,
    full: Option<Bytes>,
}

impl AppState {
    /// A state over `catalog`.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog, lists: Arc::default() }
    }

    /// The catalog.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The list as JSON, encoded once for each state of the catalog.
    pub(crate) async fn list(&self, snapshot: Arc<Snapshot>, full: bool) -> Result<Bytes, ApiError> {
        if let Some(encoded) = self.cached(&snapshot.tag, full) {
            return Ok(encoded);
        }
        let tag = snapshot.tag.clone();
        // Ten thousand datasets are some megabytes of JSON: too long for a thread that serves.
        let encoded = tokio::task::spawn_blocking(move || encode(&snapshot, full)).await;
        let encoded = match encoded {
            Ok(Ok(encoded)) => encoded,
            Ok(Err(error)) => return Err(unencodable(&error)),
            Err(error) => return Err(unencodable(&error)),
        };
        self.keep(tag, full, encoded.clone());
        Ok(encoded)
    }

    fn cached(&self, tag: &str, full: bool) -> Option<Bytes> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.tag != tag {
            return None;
        }
        if full { lists.full.clone() } else { lists.short.clone() }
    }

    fn keep(&self, tag: String, full: bool, encoded: Bytes) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.tag != tag {
            *lists = Lists { tag, ..Lists::default() };
        }
        *(if full { &mut lists.full } else { &mut lists.short }) = Some(encoded);
    }
}

fn unencodable(error: &dyn std::error::Error) -> ApiError {
    tracing::error!(%error, "encode list");
    ApiError::new(ErrorKind::Internal, "an internal error; the log has it under this request id")
}

/// [`ListResponse`] with borrowed manifests: a full list is large, and copying it would double that.
#[derive(Serialize)]
struct FullList<'a> {
    datasets: Vec<&'a Manifest>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    damaged: &'a [String],
}

fn encode(snapshot: &Snapshot, full: bool) -> Result<Bytes, serde_json::Error> {
    let encoded = if full {
        serde_json::to_vec(&FullList {
            datasets: snapshot.datasets.iter().map(AsRef::as_ref).collect(),
            damaged: &snapshot.damaged,
        })
    } else {
        let datasets = snapshot.datasets.iter().map(|manifest| short(manifest)).collect();
        serde_json::to_vec(&ListResponse { datasets, damaged: snapshot.damaged.clone() })
    };
    encoded.map(Bytes::from)
}

/// A manifest without its schema and files.
fn short(manifest: &Manifest) -> Manifest {
    Manifest {
        name: manifest.name.clone(),
        version: manifest.version,
        schema_fingerprint: manifest.schema_fingerprint.clone(),
        schema: Vec::new(),
        objects: Vec::new(),
        rows: manifest.rows,
        bytes: manifest.bytes,
        created_ms: manifest.created_ms,
        updated_ms: manifest.updated_ms,
    }
}
