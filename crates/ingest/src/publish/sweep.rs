//! Orphans: objects of a crashed ingest, and of versions that were replaced.
//!
//! A sweep must never remove an object that a manifest names, now or a moment later. What makes
//! that so, for any number of ingestds on one store:
//!
//! 1. A sweep first announces the keys that it is about to remove (`marker`), *then* reads the
//!    catalog, and removes only what no manifest names.
//! 2. An ingest first registers its object, *then* looks whether a sweep has announced it. If so it
//!    waits until that sweep has moved on, and stores the object again if it is gone. Only then is
//!    the ingest acknowledged.
//!
//! Whichever of the two comes second sees what the other has done: either the sweep finds the
//! manifest and leaves the object alone, or the ingest finds the announcement and repairs. A sweep
//! that dies leaves its announcement; it is taken for abandoned long after its last removal can have
//! been sent. A registration that refers to an object which was there already, without storing it
//! anew, is only trusted where the version it was built on had that object too (`ingestor`).
//!
//! The grace period is for others: for queries that still read a version which was replaced, and for
//! a catalogd that lags behind another. An object's age counts from its last writing, from the moment
//! at which its dataset last changed, or from when this process first saw that nobody names it any
//! more, whichever is latest. A catalog that can't be read ends a sweep before anything is removed.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lakehouse_types::{Name, ObjectKey, store::ObjectEntry, unescape_segment};
use serde::Serialize;
use tokio::time::Instant;

use super::{Catalog, Ingestor, marker::MAX_HOLD};
use crate::Error;

/// What all keys of dataset files begin with.
pub(super) const PREFIX: &str = "datasets/";

/// Keys that are announced and removed at once.
pub(super) const BATCH: usize = 256;

/// Objects of one page of a listing.
const PAGE: usize = 1000;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Objects removed.
    pub removed: u64,
    /// Objects that no dataset names and that are too young to go, or part of an ingest under way.
    pub kept: u64,
    /// Bytes of the objects removed.
    pub bytes: u64,
}

/// What a sweeper remembers from one sweep to the next.
#[derive(Default)]
pub(super) struct Memory {
    /// Keys that some manifest named at the last sweep.
    named: HashSet<ObjectKey>,
    /// Since when a key that was once named is not any more.
    orphaned: HashMap<ObjectKey, Instant>,
}

/// The facts that a key's fate is decided on.
struct Facts {
    named: HashSet<ObjectKey>,
    /// When each dataset last changed.
    changed: HashMap<Name, SystemTime>,
}

impl Facts {
    /// What the catalog says now. Any file may belong to a dataset that it can't read, also one under
    /// another dataset's name, so then there are no facts at all.
    async fn of(catalog: &dyn Catalog) -> Result<Self, Error> {
        let list = catalog.list().await.map_err(Error::Catalog)?;
        if !list.damaged.is_empty() {
            return Err(Error::Damaged(list.damaged));
        }
        let mut facts = Self { named: HashSet::new(), changed: HashMap::new() };
        for manifest in list.datasets {
            facts.changed.insert(manifest.name, time_of(manifest.updated_ms));
            facts.named.extend(manifest.objects.into_iter().map(|object| object.key));
        }
        Ok(facts)
    }
}

fn time_of(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// The dataset of an object that an ingest has written; `None` for anything else that lies there,
/// which is not this service's to remove.
fn dataset_of(key: &ObjectKey) -> Option<Name> {
    let (dataset, file) = key.as_str().strip_prefix(PREFIX)?.split_once('/')?;
    let fingerprint = file.strip_suffix(".parquet")?;
    let is_hash = fingerprint.len() == 64 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    Name::new(unescape_segment(dataset)?).ok().filter(|_| is_hash)
}

impl Ingestor {
    /// Removes orphans that are older than the grace period.
    ///
    /// # Errors
    /// [`Error::Busy`] while another instance sweeps; [`Error::Damaged`], and nothing is removed; or the
    /// store's or the catalog's, before which nothing or only orphans were removed.
    pub async fn sweep(&self) -> Result<SweepReport, Error> {
        let mut memory = self.sweeper.lock().await;
        let hold = self.markers.acquire().await?.ok_or_else(|| Error::Busy {
            reason: "another instance is sweeping".to_owned(),
            retry_after: Duration::from_secs(5),
        })?;
        let now = self.markers.store_time().await?;
        let facts = match Facts::of(&*self.catalog).await {
            Ok(facts) => facts,
            Err(error) => {
                self.give_up(hold).await;
                return Err(error);
            }
        };
        let mut report = SweepReport::default();
        let old = self.old_orphans(&facts, &mut memory, now, &mut report).await?;
        memory.named = facts.named;
        let mut hold = Some(hold);
        for batch in old.chunks(BATCH) {
            let Some(held) = hold.take() else { break };
            hold = self.remove(held, batch, false, &mut report).await?;
        }
        if let Some(hold) = hold {
            self.markers.release(hold).await?;
        }
        tracing::info!(report.removed, report.kept, report.bytes, "swept orphans");
        Ok(report)
    }

    /// Removes one object that this process has just stored and could not register, unless
    /// somebody else has use for it. What fails here is left to the next sweep.
    pub(super) async fn discard(&self, key: &ObjectKey) {
        let result = async {
            // A sweep under way is not waited for, by a caller who is to hear of a refusal.
            let Ok(_memory) = self.sweeper.try_lock() else { return Ok(()) };
            let Some(hold) = self.markers.acquire().await? else { return Ok(()) };
            let size = match self.store.head(key).await {
                Ok(meta) => meta.size,
                Err(error) if error.is_not_found() => return self.markers.release(hold).await,
                Err(error) => return Err(Error::from(error)),
            };
            let mut report = SweepReport::default();
            match self.remove(hold, &[(key.clone(), size)], true, &mut report).await? {
                Some(hold) => self.markers.release(hold).await,
                None => Ok(()),
            }
        };
        if let Err(error) = result.await {
            tracing::warn!(%error, %key, "remove object that could not be registered; the next sweep will");
        }
    }

    /// Orphans past the grace period, with their sizes.
    async fn old_orphans(
        &self,
        facts: &Facts,
        memory: &mut Memory,
        now: SystemTime,
        report: &mut SweepReport,
    ) -> Result<Vec<(ObjectKey, u64)>, Error> {
        let mut old = Vec::new();
        let mut orphaned = HashMap::new();
        let mut after = None;
        loop {
            let page = self.store.list(PREFIX, after.as_deref(), PAGE).await?;
            for entry in page.objects {
                let Some(dataset) = dataset_of(&entry.key) else { continue };
                if facts.named.contains(&entry.key) {
                    continue;
                }
                let lost = memory.orphaned.get(&entry.key).copied();
                let lost = lost.or_else(|| memory.named.contains(&entry.key).then(Instant::now));
                if let Some(lost) = lost {
                    orphaned.insert(entry.key.clone(), lost);
                }
                let age = age_of(&entry, facts.changed.get(&dataset), lost, now);
                if age >= self.options.sweep_grace && !self.turns.is_taken(&entry.key) {
                    old.push((entry.key, entry.size));
                } else {
                    report.kept += 1;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        memory.orphaned = orphaned;
        Ok(old)
    }

    /// Announces a batch, looks at the catalog again, and removes what nobody names. `None` where
    /// the right to sweep was lost or time ran out: the rest is left to the next sweep. `own` tells
    /// that the caller is itself the ingest that holds the keys.
    pub(super) async fn remove(
        &self,
        hold: super::marker::Hold,
        batch: &[(ObjectKey, u64)],
        own: bool,
        report: &mut SweepReport,
    ) -> Result<Option<super::marker::Hold>, Error> {
        let keys: Vec<ObjectKey> = batch.iter().map(|(key, _)| key.clone()).collect();
        let announced = Instant::now();
        let Some(hold) = self.markers.announce(hold, &keys).await? else { return Ok(None) };
        let mut removing = false;
        match self.remove_announced(batch, announced, own, &mut removing, report).await {
            Ok(true) => Ok(Some(hold)),
            Ok(false) => {
                tracing::warn!("a sweep ran out of time; the rest is left to the next one");
                Ok(None)
            }
            // A removal whose answer did not come may still be on its way: then the announcement stays.
            Err(error) if removing => Err(error),
            Err(error) => {
                // Ingests wait for keys that are announced, and none of these will be removed.
                self.give_up(hold).await;
                Err(error)
            }
        }
    }

    /// Takes back what a sweep that failed has announced, as far as possible: its error is told already.
    async fn give_up(&self, hold: super::marker::Hold) {
        if let Err(error) = self.markers.release(hold).await {
            tracing::warn!(%error, "take back the announcement of a sweep that failed");
        }
    }

    /// False where time ran out. `removing` tells whether any removal was sent.
    async fn remove_announced(
        &self,
        batch: &[(ObjectKey, u64)],
        announced: Instant,
        own: bool,
        removing: &mut bool,
        report: &mut SweepReport,
    ) -> Result<bool, Error> {
        let facts = Facts::of(&*self.catalog).await?;
        // The announcement has just been written.
        let now = self.markers.store_time().await?;
        for (key, size) in batch {
            if announced.elapsed() >= MAX_HOLD {
                return Ok(false);
            }
            if facts.named.contains(key) || (!own && (self.turns.is_taken(key) || self.is_young(key, now).await?)) {
                report.kept += 1;
                continue;
            }
            *removing = true;
            self.store.delete(key).await?;
            tracing::debug!(%key, "removed orphan");
            report.removed += 1;
            report.bytes += size;
        }
        Ok(true)
    }

    /// Has somebody written it anew since it was listed? An ingest through another catalogd, which this
    /// one's lags behind, may have done so and looked for announcements before this one was made.
    async fn is_young(&self, key: &ObjectKey, now: SystemTime) -> Result<bool, Error> {
        match self.store.head(key).await {
            Ok(meta) => Ok(now.duration_since(meta.modified).unwrap_or_default() < self.options.sweep_grace),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How long an orphan has been one, at least.
fn age_of(entry: &ObjectEntry, changed: Option<&SystemTime>, lost: Option<Instant>, now: SystemTime) -> Duration {
    let since = |time: SystemTime| now.duration_since(time).unwrap_or_default();
    let written = since(time_of(entry.modified_ms));
    match (lost, changed) {
        (Some(lost), _) => written.min(lost.elapsed()),
        (None, Some(changed)) => written.min(since(*changed)),
        (None, None) => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_ingest_wrote_is_swept() {
        let hash = "0123456789abcdef".repeat(4);
        let dataset = |key: String| dataset_of(&ObjectKey::new(key).unwrap());
        assert_eq!(dataset(format!("datasets/O%27B/{hash}.parquet")), Some(Name::new("O'B").unwrap()));
        for foreign in [
            format!("datasets/a/{hash}.csv"),
            format!("datasets/a/b/{hash}.parquet"),
            "datasets/a/short.parquet".to_owned(),
            format!("datasets/{hash}.parquet"),
            format!("data/a/{hash}.parquet"),
        ] {
            assert_eq!(dataset(foreign.clone()), None, "{foreign}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_orphans_age_counts_from_the_latest_moment_of_use() {
        let entry = ObjectEntry {
            key: ObjectKey::new("datasets/a/b").unwrap(),
            size: 1,
            etag: String::new(),
            modified_ms: 1_000,
        };
        let now = time_of(100_000);
        assert_eq!(age_of(&entry, None, None, now), Duration::from_secs(99));
        assert_eq!(age_of(&entry, Some(&time_of(90_000)), None, now), Duration::from_secs(10));
        let lost = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(age_of(&entry, Some(&time_of(90_000)), Some(lost), now), Duration::from_secs(3));
        assert_eq!(age_of(&entry, Some(&time_of(200_000)), None, now), Duration::ZERO, "clocks that differ");
    }
}
