use std::sync::Arc;

use async_trait::async_trait;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use lakehouse_client::CatalogClient;
use lakehouse_query::{Catalog, Error, Snapshot};
use parking_lot::Mutex;

/// catalogd's datasets. A query asks whether anything has changed, which is one short call; only
/// when something has are the manifests read again.
pub struct RemoteCatalog {
    inner: Arc<Inner>,
}

struct Inner {
    client: CatalogClient,
    /// The newest snapshot, with catalogd's tag of it.
    known: Mutex<Option<(String, Arc<Snapshot>)>>,
    /// Held by the look that is under way.
    turn: tokio::sync::Mutex<()>,
    /// The look that comes after it: nobody has sent it yet, so whoever asks now may share it.
    next: Mutex<Option<Look>>,
}

type Look = Shared<BoxFuture<'static, Result<Arc<Snapshot>, Error>>>;

impl RemoteCatalog {
    /// Datasets as the catalogd behind `client` has them.
    #[must_use]
    pub fn new(client: CatalogClient) -> Self {
        let inner =
            Inner { client, known: Mutex::default(), turn: tokio::sync::Mutex::default(), next: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }
}

#[async_trait]
impl Catalog for RemoteCatalog {
    /// One look at a time, and each shared by all who asked before it was sent: a look that was
    /// sent earlier may have missed what they know of.
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        let look = {
            let mut next = self.inner.next.lock();
            next.get_or_insert_with(|| Arc::clone(&self.inner).take_turn().boxed().shared()).clone()
        };
        look.await
    }
}

impl Inner {
    async fn take_turn(self: Arc<Self>) -> Result<Arc<Snapshot>, Error> {
        let _turn = self.turn.lock().await;
        // From here on it is too late to join.
        *self.next.lock() = None;
        self.look().await
    }

    async fn look(&self) -> Result<Arc<Snapshot>, Error> {
        let known = self.known.lock().clone();
        let tag = known.as_ref().map(|(tag, _)| tag.as_str());
        let changed = self.client.list(tag).await.map_err(Error::dependency)?;
        let snapshot = match (changed, known) {
            (Some((list, tag)), known) => {
                let before = known.map(|(_, snapshot)| snapshot).unwrap_or_default();
                let snapshot = Arc::new(before.with(list.datasets).beside_damaged(list.damaged));
                *self.known.lock() = Some((tag, Arc::clone(&snapshot)));
                snapshot
            }
            (None, Some((_, snapshot))) => snapshot,
            // It can't say "unchanged" to somebody who knows nothing.
            (None, None) => return Err(Error::Internal("catalogd left the first list out".to_owned())),
        };
        Ok(snapshot)
    }
}
