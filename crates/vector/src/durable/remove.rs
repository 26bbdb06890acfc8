//! Taking an index out of the store.

use lakehouse_objstore::ObjectStore;
use lakehouse_types::ObjectKey;

use super::{keys, load::list_all, takeover};
use crate::{Error, Result};

/// Removes the files, then the log. The entry that says «dropped» is the last of its log and goes
/// last: whatever interrupts this, the next start finds it and goes on.
pub(super) async fn remove_objects(store: &dyn ObjectStore, name: &str) -> Result<()> {
    takeover::remove_literal(store, name).await?;
    let file = keys::file(name)?;
    store.delete(&file).await.map_err(|error| Error::store("remove index file", error))?;
    let keys = list_all(store, &keys::logs(name)).await?;
    remove_keys(store, &keys).await
}

/// Removes the objects, in this order.
pub(super) async fn remove_keys(store: &dyn ObjectStore, keys: &[ObjectKey]) -> Result<()> {
    for key in keys {
        // Once more before the whole is begun anew: one lost answer must not cost a listing.
        if store.delete(key).await.is_err() {
            store.delete(key).await.map_err(|error| Error::store("remove log entry", error))?;
        }
    }
    Ok(())
}
