use std::{collections::hash_map::RandomState, hash::BuildHasher as _, sync::Arc};

use lakehouse_types::ObjectKey;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// More than there will ever be writes at once on one disk, so that two keys seldom share a lock.
const STRIPES: usize = 1024;

/// A lock for each key, so that a condition is decided and acted upon in one step. Different keys
/// may share one, which costs time and nothing else.
pub(super) struct KeyLocks {
    stripes: Vec<Arc<Mutex<()>>>,
    /// Seeded for each process: nobody can choose keys that all share a lock.
    hasher: RandomState,
}

impl Default for KeyLocks {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Arc::default()).collect(), hasher: RandomState::new() }
    }
}

impl KeyLocks {
    /// Waits without a thread: a thousand writers of one key leave the file threads to others.
    pub(super) async fn lock(&self, key: &ObjectKey) -> OwnedMutexGuard<()> {
        let stripe = usize::try_from(self.hasher.hash_one(key) % STRIPES as u64).unwrap_or_default();
        Arc::clone(&self.stripes[stripe]).lock_owned().await
    }
}
