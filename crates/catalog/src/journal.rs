//! Records in the store, and the argument why no change is lost.
//!
//! A change of a dataset whose newest version is V-1 creates V, and creation fails where V exists:
//! of any number of writers that saw V-1 as the newest, one wins and the others look again.
//!
//! Old versions are pruned, which opens one hole: a writer that stood still for a long time, still
//! believes in V-1 and creates V, when V was there and has been pruned since. Its record would lie
//! below the newest one and be ignored, though its creation succeeded. So a writer looks at the
//! dataset's records once more after it created V, and believes in its success only
//! - where V is the newest and V-1 is there, or V is 1, or
//! - where the newest one names V, as this writer wrote it, among its ancestors.
//!
//! Else the record is taken back and the change begun anew. This is sound because the newest
//! version is never pruned, and a deletion is a version too, so that numbers never come back.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use lakehouse_objstore::{Condition, Error as StoreError, GetOptions, ObjectStore, PutOptions, body, collect};
use lakehouse_types::ObjectKey;
use sha2::{Digest as _, Sha256};

use crate::{
    Error,
    record::{self, Descent, Place, Record, WriteId},
    state::Entry,
};

/// A writer looks whether the version before its own is there, see above.
const MIN_KEPT: usize = 2;
/// The store's own cap on a page.
const PAGE: usize = 1000;
/// How often a creation of unknown outcome is looked up and tried again.
const CREATE_ATTEMPTS: usize = 3;
/// How often a record may vanish (pruned by another catalog) between the listing and the reading.
const READ_ATTEMPTS: usize = 8;

/// The records of all datasets.
pub(crate) struct Journal {
    store: Arc<dyn ObjectStore>,
    keep: usize,
    max_bytes: usize,
}

/// The newest version under a segment, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) version: u64,
    pub(crate) etag: String,
}

/// What a listing of everything found.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) newest: BTreeMap<String, Newest>,
    /// Keys that no catalog of this version writes.
    pub(crate) foreign: Vec<ObjectKey>,
}

/// What came of trying to create a version.
#[derive(Debug)]
pub(crate) enum Commit {
    /// It is the dataset's next version; `prunable` versions are no longer needed.
    Done { etag: String, prunable: Vec<u64> },
    /// Somebody else changed the dataset first.
    Lost,
}

impl Journal {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, keep: usize, max_bytes: usize) -> Self {
        Self { store, keep: keep.max(MIN_KEPT), max_bytes }
    }

    /// The newest version under every segment.
    pub(crate) async fn list_all(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        self.each(record::PREFIX, |key, etag| match Place::parse(key) {
            // The listing is sorted, and so are the versions: the last one stays.
            Some(Place { segment, version }) => drop(listing.newest.insert(segment, Newest { version, etag })),
            None => listing.foreign.push(key.clone()),
        })
        .await?;
        Ok(listing)
    }

    /// All versions under one segment, ascending, with their entity tags.
    pub(crate) async fn versions(&self, segment: &str) -> Result<Vec<Newest>, Error> {
        let mut versions = Vec::new();
        self.each(&record::directory(segment), |key, etag| {
            versions.extend(Place::parse(key).map(|place| Newest { version: place.version, etag }));
        })
        .await?;
        Ok(versions)
    }

    async fn each(&self, prefix: &str, mut visit: impl FnMut(&ObjectKey, String)) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(prefix, after.as_deref(), PAGE).await;
            let page = page.map_err(Error::store("list manifests"))?;
            for object in page.objects {
                visit(&object.key, object.etag);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// The entry that the newest version under `segment` amounts to; `hint` is what a listing
    /// showed a moment ago.
    pub(crate) async fn read_newest(&self, segment: &str, hint: Option<Newest>) -> Result<Option<Entry>, Error> {
        let mut newest = hint;
        for _ in 0..READ_ATTEMPTS {
            let found = match newest.take() {
                Some(found) => found,
                None => match self.versions(segment).await?.pop() {
                    Some(found) => found,
                    None => return Ok(None),
                },
            };
            if let Some(entry) = self.read_entry(segment, found.version).await? {
                return Ok(Some(entry));
            }
        }
        let action = "read manifest";
        Err(Error::Store { action, source: StoreError::backend(action, "the listing shows it, but it is not there") })
    }

    /// `None` where there is no such version. A record that can't be understood is an entry too.
    async fn read_entry(&self, segment: &str, version: u64) -> Result<Option<Entry>, Error> {
        let place = Place { segment: segment.to_owned(), version };
        let Some((bytes, etag)) = self.read(&place).await? else { return Ok(None) };
        let record = bytes.map_err(|size| format!("it has {size} bytes")).and_then(|b| Record::decode(&b, &place));
        Ok(Some(match record {
            Ok(record) => Entry::of(record, etag),
            Err(reason) => Entry::damaged(version, etag, format!("version {version}: {reason}")),
        }))
    }

    /// The bytes at `place` and their entity tag; of too large an object the size alone.
    async fn read(&self, place: &Place) -> Result<Option<(Result<Bytes, u64>, String)>, Error> {
        let failed = Error::store("read manifest");
        let object = match self.store.get(&key(place)?, GetOptions::default()).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let etag = object.meta.etag;
        if object.meta.size > self.max_bytes as u64 {
            return Ok(Some((Err(object.meta.size), etag)));
        }
        let bytes = collect(object.body, self.max_bytes).await.map_err(failed)?;
        Ok(Some((Ok(bytes), etag)))
    }

    /// The record at `place` and its entity tag; `None` where there is nothing. What can't be
    /// understood is certainly not what this program wrote a moment ago.
    async fn read_record(&self, place: &Place) -> Result<Option<(Option<Record>, String)>, Error> {
        let Some((bytes, etag)) = self.read(place).await? else { return Ok(None) };
        let record = bytes.ok().and_then(|bytes| Record::decode(&bytes, place).ok());
        Ok(Some((record, etag)))
    }

    /// Makes `record` the dataset's next version, or finds that it can't be.
    ///
    /// # Errors
    /// [`Error::Unconfirmed`] where the store could not be asked whether it worked.
    pub(crate) async fn commit(&self, segment: &str, record: &Record) -> Result<Commit, Error> {
        let place = Place { segment: segment.to_owned(), version: record.version };
        match self.create(&place, record).await? {
            Some(etag) => self.confirm(&place, record.write_id, etag).await,
            None => Ok(Commit::Lost),
        }
    }

    /// Creates the record; the entity tag where it is there now, `None` where another one is.
    async fn create(&self, place: &Place, record: &Record) -> Result<Option<String>, Error> {
        let bytes = record.encode().map_err(|error| Error::Internal(format!("encode manifest: {error}")))?;
        if bytes.len() > self.max_bytes {
            return Err(Error::TooLarge { size: bytes.len(), limit: self.max_bytes });
        }
        let bytes = Bytes::from(bytes);
        let options = PutOptions {
            condition: Condition::IfAbsent,
            sha256: Some(hex::encode(Sha256::digest(&bytes))),
            size: Some(bytes.len() as u64),
        };
        let key = key(place)?;
        let mut attempt = 1;
        loop {
            let error = match self.store.put(&key, body(bytes.clone()), options.clone()).await {
                Ok(outcome) => return Ok(Some(outcome.etag)),
                Err(error) => error,
            };
            // Whatever the error says: a store may have repeated the call on its own and met the
            // record of its first attempt, or failed after it had written. What is there decides.
            let found = match self.read_record(place).await {
                Ok(found) => found,
                Err(cause) => {
                    tracing::warn!(error = %cause, "look up a manifest of unknown outcome");
                    return Err(Error::Unconfirmed(error));
                }
            };
            match found {
                Some((Some(found), etag)) if found.write_id == record.write_id => return Ok(Some(etag)),
                Some(_) => return Ok(None),
                // Met something that is gone by now: look again from the start.
                None if error.is_precondition_failed() => return Ok(None),
                // Not there, but it may still be under way; the same record again can do no harm.
                None if attempt < CREATE_ATTEMPTS => attempt += 1,
                None => return Err(Error::Unconfirmed(error)),
            }
        }
    }

    /// See the module's text.
    async fn confirm(&self, place: &Place, write_id: WriteId, etag: String) -> Result<Commit, Error> {
        for _ in 0..READ_ATTEMPTS {
            let listed = self.versions(&place.segment).await.map_err(unconfirmed)?;
            let versions: Vec<u64> = listed.iter().map(|found| found.version).collect();
            let newest = versions.last().copied().unwrap_or_default();
            if newest == place.version {
                if place.version > 1 && !versions.contains(&(place.version - 1)) {
                    return self.withdraw(place).await;
                }
                let old = versions.len().saturating_sub(self.keep);
                return Ok(Commit::Done { etag, prunable: versions.into_iter().take(old).collect() });
            }
            let newest = Place { segment: place.segment.clone(), version: newest };
            // Where it is gone already, an even newer one is there: look again.
            let Some((newest, _)) = self.read_record(&newest).await.map_err(unconfirmed)? else { continue };
            match newest.map_or(Descent::Unknown, |newest| newest.descends_from(place.version, write_id)) {
                Descent::Ancestor => return Ok(Commit::Done { etag, prunable: Vec::new() }),
                Descent::Stranger => return self.withdraw(place).await,
                Descent::Unknown => break,
            }
        }
        let cause = "the dataset was changed many times while one change was being confirmed";
        Err(Error::Unconfirmed(StoreError::backend("confirm manifest", cause)))
    }

    /// Takes back a record that was created where a pruned one had been.
    async fn withdraw(&self, place: &Place) -> Result<Commit, Error> {
        tracing::info!(dataset = place.segment, version = place.version, "a change came too late and starts again");
        self.store.delete(&key(place)?).await.map_err(Error::store("withdraw manifest"))?;
        Ok(Commit::Lost)
    }

    /// Removes old versions. What is left by a failure goes after the next change.
    pub(crate) async fn prune(&self, segment: &str, versions: &[u64]) -> Result<(), Error> {
        for version in versions {
            let place = Place { segment: segment.to_owned(), version: *version };
            self.store.delete(&key(&place)?).await.map_err(Error::store("prune manifest"))?;
        }
        Ok(())
    }
}

/// The record is there, but whether it counts is unknown.
fn unconfirmed(error: Error) -> Error {
    match error {
        Error::Store { source, .. } => Error::Unconfirmed(source),
        other => other,
    }
}

fn key(place: &Place) -> Result<ObjectKey, Error> {
    place.key().map_err(|error| Error::Internal(format!("name manifest: {error}")))
}
