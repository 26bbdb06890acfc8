use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::TryStreamExt as _;
use lakehouse_objstore::{ByteRange, ByteStream, GetOptions, ObjectStore, PutOptions, collect};
use lakehouse_types::{
    ErrorKind, Name, ObjectKey, ServiceError as _,
    catalog::{DataObject, Manifest, Mode, RegisterRequest, RegisterResponse},
    context, escape_segment,
    ingest::IngestResponse,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::{Catalog, marker::Markers, sweep, turns::Turns};
use crate::{
    Cancel, Converted, Error, Limits, Options, Report, convert,
    spool::{SpoolDir, Spooled, file_body},
};

/// How the service as a whole behaves.
#[derive(Debug, Clone)]
pub struct IngestorOptions {
    /// What one conversion may use.
    pub limits: Limits,
    /// Conversions at once.
    pub max_concurrent: usize,
    /// Uploads that may wait for a conversion.
    pub max_queued: usize,
    /// How long an object that no dataset names is kept.
    pub sweep_grace: Duration,
}

/// What is to be done with an upload.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The dataset.
    pub name: Name,
    /// Whether it replaces what is there or adds to it.
    pub mode: Mode,
    /// How to read the file. The upload must have been begun with the same ones.
    pub options: Options,
}

/// The place of one upload, from its first byte to its answer.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Takes uploads into the store and the catalog. One for a process.
pub struct Ingestor {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) options: IngestorOptions,
    pub(super) markers: Markers,
    pub(super) turns: Arc<Turns>,
    pub(super) sweeper: Mutex<sweep::Memory>,
    spool: SpoolDir,
    places: Arc<Semaphore>,
    conversions: Arc<Semaphore>,
}

/// How often an object is stored again that a sweep took away while it was being registered. Once
/// is a rare accident; a store that loses it this often is broken.
const REPAIRS: usize = 5;

/// Bytes at the end of an object in which its footer is looked for first, and at most.
const FOOTER_GUESS: usize = 64 << 10;
const MAX_FOOTER: usize = 8 << 20;

/// Pauses before an object is stored again after the store could not be reached.
const PUT_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

impl Ingestor {
    /// Over a store and a catalog, with uploads in `spool`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a bug only.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        catalog: Arc<dyn Catalog>,
        spool: SpoolDir,
        options: IngestorOptions,
    ) -> Result<Arc<Self>, Error> {
        let markers = Markers::new(Arc::clone(&store), spool.instance())?;
        let conversions = options.max_concurrent.max(1);
        let places = (conversions + options.max_queued).min(Semaphore::MAX_PERMITS);
        Ok(Arc::new(Self {
            store,
            catalog,
            markers,
            turns: Arc::default(),
            sweeper: Mutex::default(),
            spool,
            places: Arc::new(Semaphore::new(places)),
            conversions: Arc::new(Semaphore::new(conversions)),
            options,
        }))
    }

    /// Where uploads wait.
    #[must_use]
    pub const fn spool(&self) -> &SpoolDir {
        &self.spool
    }

    /// A place for one more upload; to be taken before its body is read.
    ///
    /// # Errors
    /// [`Error::Busy`] when as many as may wait are waiting.
    pub fn enter(&self) -> Result<Place, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map(Place).map_err(|_| Error::Busy {
            reason: "too many uploads at once".to_owned(),
            retry_after: Duration::from_secs(5),
        })
    }

    /// Converts, stores and registers an upload. Until the object is being stored, dropping the
    /// future cancels all; from then on the ingest goes on to its end without whoever waits for it.
    ///
    /// # Errors
    /// What is wrong with the file, or with the store or the catalog. Then the dataset is as it was, but
    /// for [`Error::Unconfirmed`].
    pub async fn ingest(self: &Arc<Self>, request: IngestRequest, upload: Spooled) -> Result<IngestResponse, Error> {
        let fingerprint = upload.fingerprint.clone();
        let key = object_key(&request.name, &fingerprint)?;
        let turn = self.turns.take(key.clone()).await;
        let manifest = self.catalog.manifest(&request.name).await.map_err(Error::Catalog)?;
        if let Some(manifest) = manifest
            && let Some(response) = self.existing(&request, &manifest, &key).await?
        {
            return Ok(response);
        }
        let (output, converted) = self.convert(upload, request.options.clone()).await?;
        let ready = Ready { request, fingerprint, key, output: Arc::new(output), converted };
        let ingestor = Arc::clone(self);
        let commit = async move {
            // Held to the end, whatever becomes of the caller.
            let _turn = turn;
            ingestor.commit(&ready).await
        };
        tokio::spawn(context::carried(commit)).await.map_err(Error::during("commit ingest"))?
    }

    /// Answers for an object that the newest version of the dataset has already. `None` where that
    /// can't be relied on, and the upload must go the whole way.
    async fn existing(
        &self,
        request: &IngestRequest,
        manifest: &Manifest,
        key: &ObjectKey,
    ) -> Result<Option<IngestResponse>, Error> {
        let Some(object) = manifest.objects.iter().find(|object| object.key == *key) else { return Ok(None) };
        let registration = RegisterRequest {
            name: request.name.clone(),
            schema_fingerprint: manifest.schema_fingerprint.clone(),
            schema: manifest.schema.clone(),
            objects: vec![object.clone()],
            mode: request.mode,
        };
        let registered = self.catalog.register(registration).await.map_err(Error::of_registration)?;
        // Were there versions in between, one of them may have been without the object, and a sweep
        // may have seen that one.
        let unbroken = registered.existing || registered.manifest.version == manifest.version + 1;
        if !unbroken || !self.is_whole(object).await.map_err(Error::unconfirmed)? {
            return Ok(None);
        }
        let report = self.report_of(key).await;
        Ok(Some(answer(&request.name, object.clone(), registered, true, report)))
    }

    /// The report in a stored object. That it can't be read is no reason not to answer.
    async fn report_of(&self, key: &ObjectKey) -> Report {
        let mut len = FOOTER_GUESS;
        for _ in 0..2 {
            let options = GetOptions { range: Some(ByteRange::Last(len as u64)), ..GetOptions::default() };
            let end = match self.store.get(key, options).await {
                Ok(object) => collect(object.body, len).await,
                Err(error) => Err(error),
            };
            match end {
                Ok(end) => match Report::footer_len(&end) {
                    Some(footer) if footer > len && footer <= MAX_FOOTER => len = footer,
                    _ => return Report::from_end(&end).unwrap_or_default(),
                },
                Err(error) => {
                    tracing::warn!(%error, %key, "read footer of a stored object");
                    return Report::default();
                }
            }
        }
        Report::default()
    }

    /// Runs the conversion on a blocking thread. Dropping the future ends it soon.
    async fn convert(&self, upload: Spooled, options: Options) -> Result<(std::fs::File, Converted), Error> {
        let turn =
            Arc::clone(&self.conversions).acquire_owned().await.map_err(Error::during("wait for a conversion"))?;
        let output = self.spool.file()?;
        let limits = self.options.limits.clone();
        let cancel = Arc::new(Cancel::new(false));
        let _guard = CancelOnDrop(Arc::clone(&cancel));
        let work = tokio::task::spawn_blocking(move || {
            // Given back when the work is done, and not when whoever waits for it is gone.
            let _turn = turn;
            let converted = convert(upload.file, &output, &upload.fingerprint, &options, &limits, &cancel)?;
            Ok((output, converted))
        });
        work.await.map_err(Error::during("convert file"))?
    }

    /// Stores, registers, and makes sure (`sweep` tells why that is enough).
    async fn commit(&self, ready: &Ready) -> Result<IngestResponse, Error> {
        self.store_object(ready).await?;
        self.ensure_stored(ready).await?;
        let object = DataObject {
            key: ready.key.clone(),
            size: ready.converted.size,
            rows: ready.converted.rows,
            fingerprint: ready.fingerprint.clone(),
            sha256: Some(ready.converted.sha256.clone()),
        };
        let registration = RegisterRequest {
            name: ready.request.name.clone(),
            schema_fingerprint: ready.converted.schema_fingerprint.clone(),
            schema: ready.converted.columns.clone(),
            objects: vec![object.clone()],
            mode: ready.request.mode,
        };
        let registered = match self.catalog.register(registration).await {
            Ok(registered) => registered,
            Err(error) => {
                let error = Error::of_registration(error);
                if matches!(error, Error::Catalog(_)) {
                    self.discard(&ready.key).await;
                }
                return Err(error);
            }
        };
        self.ensure_stored(ready).await.map_err(Error::unconfirmed)?;
        let existing = registered.existing;
        Ok(answer(&ready.request.name, object, registered, existing, ready.converted.report.clone()))
    }

    /// Puts the object over whatever is there: an orphan of an earlier attempt has the same bytes,
    /// and writing them again makes it young. A store that is away for a moment does not cost the
    /// conversion.
    async fn store_object(&self, ready: &Ready) -> Result<(), Error> {
        let Converted { size, sha256, .. } = &ready.converted;
        let mut pauses = PUT_PAUSES.iter();
        loop {
            let options = PutOptions { sha256: Some(sha256.clone()), size: Some(*size), ..PutOptions::default() };
            let body = file_body(Arc::clone(&ready.output), *size);
            let Err(error) = self.store.put(&ready.key, body, options).await else { return Ok(()) };
            match pauses.next() {
                Some(pause) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                    tracing::warn!(%error, key = %ready.key, "store object; trying again");
                    tokio::time::sleep(*pause).await;
                }
                _ => return Err(error.into()),
            }
        }
    }

    /// Waits out sweeps that are about to remove the object, and repairs what they did.
    async fn ensure_stored(&self, ready: &Ready) -> Result<(), Error> {
        for _ in 0..REPAIRS {
            if self.is_stored(&ready.key).await? {
                return Ok(());
            }
            tracing::warn!(key = %ready.key, "a sweep removed an object that is in use; storing it again");
            self.store_object(ready).await?;
        }
        if self.is_stored(&ready.key).await? {
            Ok(())
        } else {
            Err(Error::internal("store object", "it vanishes again and again"))
        }
    }

    /// Are the stored bytes those that were registered? One who sends a file again may do so because it
    /// can't be read. To read the object once costs less than the upload did.
    async fn is_whole(&self, object: &DataObject) -> Result<bool, Error> {
        self.markers.wait_for(&object.key).await?;
        let stored = match self.store.get(&object.key, GetOptions::default()).await {
            Ok(stored) => stored,
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(%error, key = %object.key, "a registered object can't be read; storing it again");
                return Ok(false);
            }
        };
        let whole = stored.meta.size == object.size
            && match &object.sha256 {
                Some(expected) => hash(stored.body).await.is_some_and(|sha256| sha256.eq_ignore_ascii_case(expected)),
                None => true,
            };
        if !whole {
            tracing::warn!(key = %object.key, "a stored object is not what was registered; storing it again");
        }
        Ok(whole)
    }

    async fn is_stored(&self, key: &ObjectKey) -> Result<bool, Error> {
        self.markers.wait_for(key).await?;
        match self.store.head(key).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Hex SHA-256 of a body; `None` where it breaks off, which is no whole object either.
async fn hash(mut body: ByteStream) -> Option<String> {
    let mut hash = Sha256::new();
    loop {
        match body.try_next().await {
            Ok(Some(piece)) => hash.update(&piece),
            Ok(None) => return Some(hex::encode(hash.finalize())),
            Err(error) => {
                tracing::warn!(%error, "read a stored object to compare it");
                return None;
            }
        }
    }
}

/// A converted upload.
struct Ready {
    request: IngestRequest,
    fingerprint: String,
    key: ObjectKey,
    output: Arc<std::fs::File>,
    converted: Converted,
}

struct CancelOnDrop(Arc<Cancel>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn object_key(name: &Name, fingerprint: &str) -> Result<ObjectKey, Error> {
    let dataset = escape_segment(name.as_str());
    ObjectKey::new(format!("{}{dataset}/{fingerprint}.parquet", sweep::PREFIX)).map_err(Error::during("name object"))
}

fn answer(
    name: &Name,
    object: DataObject,
    registered: RegisterResponse,
    existing: bool,
    report: Report,
) -> IngestResponse {
    IngestResponse {
        name: name.clone(),
        fingerprint: object.fingerprint,
        key: object.key,
        rows: object.rows,
        columns: registered.manifest.schema,
        bytes: object.size,
        existing,
        version: registered.manifest.version,
        renamed_columns: report.renamed_columns,
        skipped: report.skipped,
        warnings: report.warnings,
    }
}
