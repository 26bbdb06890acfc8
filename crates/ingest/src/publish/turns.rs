use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use lakehouse_types::ObjectKey;
use tokio::sync::OwnedMutexGuard;

/// One ingest at a time for each key: the second of two equal uploads finds the work of the first.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: Mutex<HashMap<ObjectKey, Arc<tokio::sync::Mutex<()>>>>,
}

/// The right to work on a key, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    key: ObjectKey,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the key's turn. From here on it is taken, for sweeps too.
    pub(super) async fn take(self: &Arc<Self>, key: ObjectKey) -> Turn {
        let lock =
            Arc::clone(self.waiting.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        // Made first, so that a caller who gives up while waiting leaves nothing behind.
        let mut turn = Turn { turns: Arc::clone(self), key, guard: None };
        turn.guard = Some(lock.lock_owned().await);
        turn
    }

    /// Is an ingest at work on this key, or waiting for it?
    pub(super) fn is_taken(&self, key: &ObjectKey) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut waiting = self.turns.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.guard.take());
        // The map's own handle is the last one where nobody waits.
        if waiting.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            waiting.remove(&self.key);
        }
    }
}
