use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::Embedding;

/// What one entry costs beside its numbers: the key, the two allocations' headers, and moka's own
/// bookkeeping (a bucket, a deque node and a frequency counter).
const ENTRY_BYTES: usize = 256;

/// A text under one provider and model.
pub(crate) type Key = [u8; 32];

/// Vectors of texts seen before, by the text's hash: the texts themselves are not kept.
#[derive(Debug)]
pub(crate) struct Cache {
    /// What comes before the text in every key.
    scope: Sha256,
    /// `None`: switched off.
    entries: Option<moka::future::Cache<Key, Arc<Embedding>>>,
}

impl Cache {
    /// At most `max_bytes` of memory; 0 switches it off.
    pub(crate) fn new(provider: &str, model: &str, max_bytes: u64) -> Self {
        let mut scope = Sha256::new();
        for part in [provider, model] {
            // With the length in front, no two pairs read the same.
            scope.update((part.len() as u64).to_le_bytes());
            scope.update(part);
        }
        let entries = (max_bytes > 0).then(|| {
            moka::future::Cache::builder()
                .max_capacity(max_bytes)
                .weigher(|_, embedding: &Arc<Embedding>| {
                    let bytes = ENTRY_BYTES + size_of_val(embedding.vector.as_slice());
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                })
                .build()
        });
        Self { scope, entries }
    }

    pub(crate) fn key(&self, text: &str) -> Key {
        let mut hash = self.scope.clone();
        hash.update(text);
        hash.finalize().into()
    }

    pub(crate) async fn get(&self, key: &Key) -> Option<Arc<Embedding>> {
        self.entries.as_ref()?.get(key).await
    }

    pub(crate) async fn insert(&self, key: Key, embedding: Arc<Embedding>) {
        if let Some(entries) = &self.entries {
            entries.insert(key, embedding).await;
        }
    }

    /// Bytes and entries, as of the cache's last housekeeping.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.entries.as_ref().map_or((0, 0), |entries| (entries.weighted_size(), entries.entry_count()))
    }

    /// Brings [`Cache::size`] up to date and evicts what is over the cap.
    #[cfg(test)]
    pub(crate) async fn settle(&self) {
        if let Some(entries) = &self.entries {
            entries.run_pending_tasks().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedding(length: usize) -> Arc<Embedding> {
        Arc::new(Embedding { vector: vec![1.0; length], tokens: 1 })
    }

    #[test]
    fn provider_model_and_text_are_all_in_the_key() {
        let key = |provider, model, text| Cache::new(provider, model, 1).key(text);
        assert_eq!(key("hash", "m", "t"), key("hash", "m", "t"));
        for other in [key("hash", "m", "u"), key("hash", "n", "t"), key("hush", "m", "t"), key("hashm", "", "t")] {
            assert_ne!(key("hash", "m", "t"), other);
        }
    }

    #[tokio::test]
    async fn stays_under_its_bytes() {
        let cache = Cache::new("p", "m", 50_000);
        for i in 0..500 {
            cache.insert(cache.key(&i.to_string()), embedding(384)).await;
        }
        cache.settle().await;
        let (bytes, entries) = cache.size();
        assert!(bytes <= 50_000 && entries > 0, "{bytes} bytes in {entries} entries");
        assert_eq!(bytes, entries * (384 * 4 + 256));
    }

    #[tokio::test]
    async fn zero_bytes_switch_it_off() {
        let cache = Cache::new("p", "m", 0);
        let key = cache.key("t");
        cache.insert(key, embedding(1)).await;
        assert!(cache.get(&key).await.is_none());
        assert_eq!(cache.size(), (0, 0));
    }
}
