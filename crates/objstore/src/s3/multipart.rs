//! Large bodies, in parts. Nothing of them shows until the upload is completed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_s3::{
    config::timeout::TimeoutConfig,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    Bucket,
    connect::ANSWER_TIMEOUT,
    failure,
    parts::SMALLEST_PART,
    read::unquoted,
    write::{Source, WRITE_ID, Write},
};
use crate::{Condition, Error};

/// Parts under way at once while they are of the smallest size, each of them in memory.
const PARTS_AT_ONCE: usize = 3;
/// Slower than this over a whole part is taken for a connection that is dead.
const SLOWEST_BYTES_PER_SECOND: u64 = 128 << 10;
/// An upload that began longer ago belongs to a process that is gone.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Uploads `first` and the rest of `source`; gives back the entity tag.
pub(super) async fn put(write: &Write, first: Bytes, source: &mut Source) -> Result<String, Error> {
    let abilities = &write.bucket.abilities;
    match &write.condition {
        Condition::IfAbsent if !abilities.complete_if_absent => {
            return Err(Error::Unsupported("its S3 endpoint does not decide If-None-Match for large objects"));
        }
        Condition::IfMatch(_) if abilities.complete_if_match.is_none() => {
            return Err(Error::Unsupported("its S3 endpoint does not decide If-Match for large objects"));
        }
        _ => {}
    }
    let mut upload = Upload::begin(write).await?;
    match upload.send_all(first, source).await {
        Ok(()) => upload.complete(write).await,
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

/// An upload under way; aborted when dropped before it is finished.
struct Upload {
    bucket: Arc<Bucket>,
    full_key: String,
    id: String,
    under_way: JoinSet<Result<CompletedPart, Error>>,
    parts: Vec<CompletedPart>,
    finished: bool,
}

impl Upload {
    async fn begin(write: &Write) -> Result<Self, Error> {
        let bucket = Arc::clone(&write.bucket);
        let request = bucket.client.create_multipart_upload().bucket(&bucket.name).key(&write.full_key);
        let request = request.metadata(WRITE_ID, &write.id);
        let answer = request.send().await.map_err(|error| failure::map_without_key("begin upload", &error))?;
        let id = answer.upload_id().unwrap_or_default().to_owned();
        let full_key = write.full_key.clone();
        Ok(Self { bucket, full_key, id, under_way: JoinSet::new(), parts: Vec::new(), finished: false })
    }

    async fn send_all(&mut self, first: Bytes, source: &mut Source) -> Result<(), Error> {
        self.send(1, first);
        for number in 2.. {
            if source.ended {
                break;
            }
            let part = source.next_part(number).await?;
            if part.is_empty() {
                break; // the body ended with the last part
            }
            let at_once = if part.len() as u64 > SMALLEST_PART { 1 } else { PARTS_AT_ONCE };
            while self.under_way.len() >= at_once {
                self.one_done().await?;
            }
            self.send(number, part);
        }
        source.verify()?;
        while !self.under_way.is_empty() {
            self.one_done().await?;
        }
        Ok(())
    }

    fn send(&mut self, number: u64, content: Bytes) {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let (bucket, full_key, id) = (Arc::clone(&self.bucket), self.full_key.clone(), self.id.clone());
        self.under_way.spawn(async move {
            let patience = ANSWER_TIMEOUT + Duration::from_secs(content.len() as u64 / SLOWEST_BYTES_PER_SECOND);
            let timeouts = TimeoutConfig::builder().read_timeout(patience).build();
            let request = bucket
                .client
                .upload_part()
                .bucket(&bucket.name)
                .key(full_key)
                .upload_id(id)
                .part_number(number)
                .body(content.into());
            let request =
                request.customize().config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts));
            let answer = request.send().await.map_err(|error| failure::map_without_key("upload part", &error))?;
            Ok(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build())
        });
    }

    async fn one_done(&mut self) -> Result<(), Error> {
        match self.under_way.join_next().await {
            Some(Ok(part)) => self.parts.push(part?),
            Some(Err(error)) => return Err(Error::backend("upload part", error)),
            None => {}
        }
        Ok(())
    }

    async fn complete(mut self, write: &Write) -> Result<String, Error> {
        self.parts.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(std::mem::take(&mut self.parts))).build();
        let (if_none_match, if_match) = write.headers(self.bucket.abilities.complete_if_match.unwrap_or_default());
        let request = self
            .bucket
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket.name)
            .key(&self.full_key)
            .upload_id(&self.id)
            .multipart_upload(parts)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match);
        match request.send().await {
            Ok(answer) => {
                self.finished = true;
                Ok(unquoted(answer.e_tag()))
            }
            Err(error) => {
                // The SDK repeats a request whose answer got lost, and an endpoint may have forgotten an
                // upload that it has completed.
                let refused = failure::status(&error) == Some(412)
                    || matches!(failure::code(&error), Some("NoSuchKey" | "NoSuchUpload"));
                self.abort().await;
                if refused { write.refused().await } else { Err(failure::map("complete upload", &write.key, &error)) }
            }
        }
    }

    async fn abort(&mut self) {
        self.under_way.shutdown().await;
        self.finished = true;
        abort(&self.bucket, &self.full_key, &self.id).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // The writer went away. Without a runtime the process is ending, and the sweep of a later
        // start does this.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (bucket, key, id) = (Arc::clone(&self.bucket), self.full_key.clone(), self.id.clone());
            let mut under_way = std::mem::take(&mut self.under_way);
            runtime.spawn(async move {
                under_way.shutdown().await;
                abort(&bucket, &key, &id).await;
            });
        }
    }
}

/// Parts of an upload that is not aborted are kept, and paid for, until somebody does.
pub(super) async fn abort(bucket: &Bucket, full_key: &str, id: &str) {
    let request = bucket.client.abort_multipart_upload().bucket(&bucket.name).key(full_key).upload_id(id);
    match request.send().await {
        Ok(_) => {}
        Err(error) if failure::status(&error) == Some(404) => {}
        Err(error) => {
            tracing::warn!(error = %failure::map_without_key("abort upload", &error), "parts may be left over");
        }
    }
}

/// Aborts uploads under our prefix that a process left when it died. Best effort: an endpoint
/// that can't list them has rules of its own for that.
pub(super) async fn abort_forgotten_uploads(bucket: &Bucket) {
    let request = bucket.client.list_multipart_uploads().bucket(&bucket.name).prefix(&bucket.prefix);
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let error = failure::map_without_key("list uploads", &error);
            tracing::warn!(%error, "uploads that a crash left, if any, stay");
            return;
        }
    };
    for upload in answer.uploads() {
        let begun = upload.initiated().and_then(|time| SystemTime::try_from(*time).ok());
        let forgotten = begun.and_then(|time| time.elapsed().ok()).is_some_and(|age| age > FORGOTTEN_AFTER);
        if let (true, Some(key), Some(id)) = (forgotten, upload.key(), upload.upload_id()) {
            tracing::info!(key, "aborting an upload that a process left when it died");
            abort(bucket, key, id).await;
        }
    }
}
