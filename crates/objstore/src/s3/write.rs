//! A write: one request where the body is small, else an upload in parts.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use lakehouse_types::ObjectKey;
use sha2::{Digest as _, Sha256};

use super::{
    Bucket, failure, multipart,
    parts::{LARGEST_OBJECT, part_bytes},
    probe::TagForm,
    read::{self, unquoted},
};
use crate::{ByteStream, Condition, Error, PutOptions, PutOutcome, pieces::Pieces, store::check_size};

/// Metadata that says which write made an object. A request whose answer got lost is sent again,
/// and then meets what it has written itself: without this it would take that for somebody else's.
pub(super) const WRITE_ID: &str = "lakehouse-write";

/// S3 answers 409 to conditional writes that meet; one of them got through, or none.
const CONFLICT_ATTEMPTS: u32 = 4;
const CONFLICT_BACKOFF: Duration = Duration::from_millis(50);

pub(super) async fn put(
    bucket: &Arc<Bucket>,
    key: &ObjectKey,
    body: ByteStream,
    options: PutOptions,
) -> Result<PutOutcome, Error> {
    let write = Write::new(bucket, key, &options)?;
    // S3 does not tell whether it replaced something, so that is asked for; and most refused
    // writes are refused here, before their body is read.
    let current = match read::head(bucket, key).await {
        Ok(head) => Some(head.meta.etag),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let holds = match &options.condition {
        Condition::None => true,
        Condition::IfAbsent => current.is_none(),
        Condition::IfMatch(etag) => current.as_ref() == Some(etag),
    };
    if !holds {
        return Err(Error::PreconditionFailed { key: key.to_string() });
    }
    let mut source = Source::new(body, options);
    let first = source.next_part(1).await?;
    let etag = if source.ended {
        source.verify()?;
        write.in_one(first).await?
    } else {
        multipart::put(&write, first, &mut source).await?
    };
    Ok(PutOutcome { etag, created: current.is_none(), size: source.received })
}

/// What every request of one write needs.
pub(super) struct Write {
    pub(super) bucket: Arc<Bucket>,
    pub(super) key: ObjectKey,
    pub(super) full_key: String,
    pub(super) condition: Condition,
    /// Goes into the metadata of what must be recognised if its answer gets lost: a conditional write,
    /// and the completion of an upload.
    pub(super) id: String,
}

impl Write {
    fn new(bucket: &Arc<Bucket>, key: &ObjectKey, options: &PutOptions) -> Result<Self, Error> {
        let id = write_id(key);
        let condition = options.condition.clone();
        Ok(Self { bucket: Arc::clone(bucket), key: key.clone(), full_key: bucket.full_key(key)?, condition, id })
    }

    /// The values of `If-None-Match` and `If-Match`.
    pub(super) fn headers(&self, form: TagForm) -> (Option<String>, Option<String>) {
        match &self.condition {
            Condition::None => (None, None),
            Condition::IfAbsent => (Some("*".to_owned()), None),
            Condition::IfMatch(etag) => (None, Some(form.of(etag))),
        }
    }

    async fn in_one(&self, content: Bytes) -> Result<String, Error> {
        let (if_none_match, if_match) = self.headers(self.bucket.abilities.put_if_match);
        for attempt in 1.. {
            let mut request = self
                .bucket
                .client
                .put_object()
                .bucket(&self.bucket.name)
                .key(&self.full_key)
                .set_if_none_match(if_none_match.clone())
                .set_if_match(if_match.clone())
                .body(content.clone().into());
            if self.condition != Condition::None {
                request = request.metadata(WRITE_ID, &self.id);
            }
            match request.send().await {
                Ok(answer) => return Ok(unquoted(answer.e_tag())),
                Err(error) if failure::status(&error) == Some(409) && attempt < CONFLICT_ATTEMPTS => {
                    tokio::time::sleep(CONFLICT_BACKOFF * attempt).await;
                }
                Err(error) => {
                    let conditional = self.condition != Condition::None;
                    let refused = failure::status(&error) == Some(412)
                        // So S3 says that there is nothing that could match.
                        || (conditional && failure::code(&error) == Some("NoSuchKey"));
                    return if refused {
                        self.refused().await
                    } else {
                        Err(failure::map("write object", &self.key, &error))
                    };
                }
            }
        }
        Err(Error::Timeout)
    }

    /// The condition did not hold, or there is no such upload, unless it was this very write that made it
    /// so.
    pub(super) async fn refused(&self) -> Result<String, Error> {
        match read::head(&self.bucket, &self.key).await {
            Ok(head) if head.write_id.as_ref() == Some(&self.id) => Ok(head.meta.etag),
            Ok(_) | Err(Error::NotFound { .. }) if self.condition == Condition::None => {
                Err(Error::Unavailable { reason: "an upload was lost before its end".to_owned(), retry_after: None })
            }
            Ok(_) | Err(Error::NotFound { .. }) => Err(Error::PreconditionFailed { key: self.key.to_string() }),
            Err(error) => Err(error),
        }
    }
}

/// Told apart from every other write's by the time, the key and a seed of this process.
fn write_id(key: &ObjectKey) -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{nanos:x}-{:x}", RandomState::new().hash_one(key))
}

/// The body, in parts, counted and hashed.
pub(super) struct Source {
    body: ByteStream,
    options: PutOptions,
    hash: Option<Sha256>,
    /// What came beyond the end of the last part.
    rest: Option<Bytes>,
    pub(super) received: u64,
    pub(super) ended: bool,
}

impl Source {
    fn new(body: ByteStream, options: PutOptions) -> Self {
        let hash = options.sha256.is_some().then(Sha256::new);
        Self { body, options, hash, rest: None, received: 0, ended: false }
    }

    /// The next part, full unless the body has ended.
    pub(super) async fn next_part(&mut self, number: u64) -> Result<Bytes, Error> {
        let wanted = usize::try_from(part_bytes(number, self.options.size)).unwrap_or(usize::MAX);
        let mut part = Pieces::default();
        while part.len() < wanted {
            let mut piece = match self.rest.take() {
                Some(piece) => piece,
                None => match self.body.try_next().await.map_err(Error::Body)? {
                    Some(piece) => self.take_in(piece)?,
                    None => {
                        self.ended = true;
                        break;
                    }
                },
            };
            let fits = piece.len().min(wanted - part.len());
            part.push(piece.split_to(fits));
            self.rest = (!piece.is_empty()).then_some(piece);
        }
        Ok(part.into_bytes())
    }

    fn take_in(&mut self, piece: Bytes) -> Result<Bytes, Error> {
        self.received += piece.len() as u64;
        check_size(&self.options, self.received, false)?;
        if self.received > LARGEST_OBJECT {
            return Err(Error::TooLarge { limit: LARGEST_OBJECT });
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&piece);
        }
        Ok(piece)
    }

    /// Once the body has ended: is it the one announced?
    pub(super) fn verify(&mut self) -> Result<(), Error> {
        check_size(&self.options, self.received, true)?;
        if let (Some(expected), Some(hash)) = (&self.options.sha256, self.hash.take()) {
            let actual = hex::encode(hash.finalize());
            if !expected.eq_ignore_ascii_case(&actual) {
                return Err(Error::ChecksumMismatch { expected: expected.clone(), actual });
            }
        }
        Ok(())
    }
}
