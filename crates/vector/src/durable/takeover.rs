//! Files of the first system, which kept an index under its name as it is (`_vectors/a b.lhv1`) and
//! not under the escaped one: whose they are, and how they come to where this project writes.
//!
//! Such a file is read where it lies, written anew under the escaped name, and removed only after that.
//! Both have the same incarnation, so whatever interrupts this, the next start knows the one for the
//! other's successor. A literal name can look like the escaped form of another (`a%20b`): then the file
//! that lies there has to go before the other one can be written, and a write where something lies fails.

use std::time::Duration;

use lakehouse_objstore::{Condition, ObjectStore, PutOptions};
use lakehouse_types::{Name, ObjectKey, ServiceError as _};

use super::{
    collection::Store,
    committer::read_object,
    keys,
    load::{self, Context, blocking},
    save::stream_of,
};
use crate::{Error, Result, lhv1};

/// Reading a file takes at most this long where an index is removed.
const REMOVAL_READ: Duration = Duration::from_secs(30);

/// What an index has in the store besides, maybe, a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// The file where this project writes it.
    pub(super) own: bool,
    /// The one of the first system.
    pub(super) literal: bool,
}

/// Is the file at the key of `escaped` one of the first system, of an index that is named like the key?
/// `beside`: the first system has a file of the index `escaped` too.
pub(super) async fn is_literal(store: &dyn ObjectStore, escaped: &str, beside: bool, limit: Duration) -> Result<bool> {
    let file = keys::file(escaped)?;
    let bytes = match read_object(store, &file, limit).await {
        Ok((_, bytes)) => bytes,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(Error::store("read index file", error)),
    };
    // What can't be read is nobody's; it is quarantined under the name that this project gives it.
    let Some(origin) = blocking(move || lhv1::origin(&bytes)).await? else { return Ok(false) };
    if origin.name.as_deref() == Some(escaped) && !beside {
        return Ok(false);
    }
    // Earlier releases took any such file for the escaped name's: one that has a log since then is.
    let logs = load::list_all(store, &keys::logs(escaped)).await?;
    let continued = |key: &ObjectKey| {
        keys::parse_entry(escaped, key.as_str()).is_some_and(|(incarnation, _)| incarnation == origin.incarnation)
    };
    Ok(!logs.iter().any(continued))
}

/// Brings the literal file of an index to where this project writes. Where the index has another file
/// there, which is not the literal one's successor, both stay.
pub(super) async fn take_over(context: &Context, store: &Store, name: &str, own: bool) -> Result<()> {
    let Some(literal) = keys::literal(name) else { return Ok(()) };
    Name::new(name).map_err(|error| bad(&literal, error.to_string()))?;
    let limit = context.options.load_timeout;
    let bytes = match read_object(&*store.0, &literal, limit).await {
        Ok((_, bytes)) => bytes,
        // An earlier attempt has removed it without hearing so.
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(Error::store("read index file", error)),
    };
    let file = keys::file(name)?;
    if !own {
        let loaded = blocking(move || lhv1::read(&bytes)).await?.map_err(|reason| bad(&literal, reason))?;
        let incarnation = loaded.incarnation;
        write(context, store, name, &file, loaded).await?;
        tracing::info!(index = name, key = %literal, incarnation, "took over a file of the first system");
    } else {
        let (_, there) = read_object(&*store.0, &file, limit).await.map_err(|e| Error::store("read index file", e))?;
        if incarnation(&there) != incarnation(&bytes) {
            tracing::warn!(
                index = name,
                key = %literal,
                "there is another index of this name; the file of the first system is left as it is"
            );
            return Ok(());
        }
    }
    store.0.delete(&literal).await.map_err(|error| Error::store("remove index file", error))
}

async fn write(context: &Context, store: &Store, name: &str, file: &ObjectKey, loaded: lhv1::Loaded) -> Result<()> {
    let lhv1::Loaded { params, incarnation, sequence, generation, .. } = loaded;
    let moment = (generation.values.moment(), generation.linked());
    let plan = lhv1::Plan::new(name, &params, (incarnation, sequence), generation.into(), moment)
        .map_err(|reason| bad(file, reason))?;
    let options = PutOptions { condition: Condition::IfAbsent, size: Some(plan.size()), ..PutOptions::default() };
    let Err(error) = store.0.put(file, stream_of(plan), options).await else { return Ok(()) };
    // The write of an earlier attempt, whose outcome nobody learnt, or something else?
    let there = read_object(&*store.0, file, context.options.load_timeout).await;
    if there.is_ok_and(|(_, bytes)| self::incarnation(&bytes) == Some(incarnation)) {
        return Ok(());
    }
    Err(Error::Unavailable {
        reason: format!("write `{file}`: {error}"),
        retry_after: error.retry_after().unwrap_or(load::RETRY),
    })
}

fn incarnation(frame: &[u8]) -> Option<u64> {
    let own = lhv1::identity(frame).map(|(incarnation, _)| incarnation);
    own.or_else(|| lhv1::origin(frame).map(|origin| origin.incarnation))
}

fn bad(object: &ObjectKey, reason: String) -> Error {
    Error::BadFrame { object: object.to_string(), reason }
}

/// Removes the first system's file of an index that is to be gone, before all else that it has: left
/// behind, it would bring the index back.
pub(super) async fn remove_literal(store: &dyn ObjectStore, name: &str) -> Result<()> {
    let Some(literal) = keys::literal(name) else { return Ok(()) };
    if let keys::Known::Either { escaped, .. } = keys::classify(literal.as_str()) {
        // The place is another index's too. It is this one's only if it is certainly not the other's.
        let beside = match keys::literal(&escaped) {
            Some(other) => match store.head(&other).await {
                Ok(_) => true,
                Err(error) if error.is_not_found() => false,
                Err(error) => return Err(Error::store("look at index file", error)),
            },
            None => false,
        };
        if !is_literal(store, &escaped, beside, REMOVAL_READ).await? {
            return Ok(());
        }
    }
    store.delete(&literal).await.map_err(|error| Error::store("remove index file", error))
}
