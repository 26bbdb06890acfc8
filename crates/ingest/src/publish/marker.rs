//! The one object through which sweeps and ingests of all ingestds agree: `_ingest/sweep.json` names
//! the sweeper at work and the keys that it is about to remove. It is only ever written by
//! compare-and-swap, and never removed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use lakehouse_objstore::{Condition, Error as StoreError, GetOptions, ObjectStore, PutOptions, body, collect};
use lakehouse_types::ObjectKey;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Error;

/// Where it lies.
pub(super) const MARKER_KEY: &str = "_ingest/sweep.json";

/// Removals are sent at most so long after the marker that names them was written ...
pub(super) const MAX_HOLD: Duration = Duration::from_secs(60);

/// ... and a marker that stands unchanged for so long is taken for abandoned. The difference is what
/// a removal may take on its way. Both are spans of one process's own clock: no two clocks are ever
/// compared.
const ABANDONED: Duration = Duration::from_secs(180);

/// Pause between two looks at a marker that names a key that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A marker has at most [`super::sweep::BATCH`] keys of at most 1 KiB.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Marker {
    /// The instance that sweeps; absent when none does.
    holder: Option<String>,
    /// Makes every writing of it different.
    nonce: String,
    /// What the holder is about to remove.
    keys: Vec<ObjectKey>,
}

/// The marker, as one instance sees it.
pub(super) struct Markers {
    store: Arc<dyn ObjectStore>,
    instance: String,
    key: ObjectKey,
    /// The foreign marker seen last, and since when it stands unchanged.
    seen: Mutex<Option<(String, Instant)>>,
}

/// The right to sweep, until it is released.
#[derive(Debug)]
pub(super) struct Hold {
    etag: String,
}

impl Markers {
    pub(super) fn new(store: Arc<dyn ObjectStore>, instance: &str) -> Result<Self, Error> {
        let key = ObjectKey::new(MARKER_KEY).map_err(Error::during("name sweep marker"))?;
        Ok(Self { store, instance: instance.to_owned(), key, seen: Mutex::default() })
    }

    /// Takes the right to sweep; `None` where another instance has it.
    pub(super) async fn acquire(&self) -> Result<Option<Hold>, Error> {
        let condition = match self.read().await? {
            None => Condition::IfAbsent,
            // An earlier process of this instance is gone, and so is its sweep.
            Some((marker, etag)) if self.may_take(&marker, &etag) => Condition::IfMatch(etag),
            Some(_) => return Ok(None),
        };
        self.write(Some(self.instance.clone()), Vec::new(), condition).await
    }

    fn may_take(&self, marker: &Marker, etag: &str) -> bool {
        match &marker.holder {
            None => true,
            Some(holder) if *holder == self.instance => true,
            Some(_) => self.stood(etag) >= ABANDONED,
        }
    }

    /// How long this process has seen the marker stand with this tag.
    fn stood(&self, etag: &str) -> Duration {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some((tag, since)) if tag == etag => since.elapsed(),
            _ => {
                *seen = Some((etag.to_owned(), Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// Names the keys that are to be removed next. `None` where the hold was lost.
    pub(super) async fn announce(&self, hold: Hold, keys: &[ObjectKey]) -> Result<Option<Hold>, Error> {
        self.write(Some(self.instance.clone()), keys.to_vec(), Condition::IfMatch(hold.etag)).await
    }

    /// Gives the right back.
    pub(super) async fn release(&self, hold: Hold) -> Result<(), Error> {
        self.write(None, Vec::new(), Condition::IfMatch(hold.etag)).await.map(|_| ())
    }

    /// The store's own clock, as of the marker's last writing.
    pub(super) async fn store_time(&self) -> Result<SystemTime, Error> {
        Ok(self.store.head(&self.key).await?.modified)
    }

    /// Waits until no sweep is about to remove `key`.
    pub(super) async fn wait_for(&self, key: &ObjectKey) -> Result<(), Error> {
        let mut standing: Option<(String, Instant)> = None;
        loop {
            let Some((marker, etag)) = self.read().await? else { return Ok(()) };
            if marker.holder.is_none() || !marker.keys.contains(key) {
                return Ok(());
            }
            match &standing {
                Some((tag, since)) if *tag == etag => {
                    if since.elapsed() >= ABANDONED {
                        return Ok(());
                    }
                }
                _ => standing = Some((etag, Instant::now())),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn read(&self) -> Result<Option<(Marker, String)>, Error> {
        let object = match self.store.get(&self.key, GetOptions::default()).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = collect(object.body, MAX_BYTES).await?;
        // What can't be read was not written by any sweep of this version; nobody holds it.
        let marker = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Some((marker, object.meta.etag)))
    }

    async fn write(
        &self,
        holder: Option<String>,
        keys: Vec<ObjectKey>,
        condition: Condition,
    ) -> Result<Option<Hold>, Error> {
        let marker = Marker { holder, nonce: uuid::Uuid::new_v4().to_string(), keys };
        let bytes = serde_json::to_vec(&marker).map_err(Error::during("encode sweep marker"))?;
        let options = PutOptions { condition, ..PutOptions::default() };
        match self.store.put(&self.key, body(bytes), options).await {
            Ok(outcome) => Ok(Some(Hold { etag: outcome.etag })),
            Err(StoreError::PreconditionFailed { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
