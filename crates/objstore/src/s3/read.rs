use std::{
    io,
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_sdk_s3::{operation::get_object::GetObjectOutput, primitives::DateTime};
use futures::StreamExt as _;
use lakehouse_types::{
    ObjectKey,
    store::{ListPage, ObjectEntry},
};

use super::{Bucket, failure, write::WRITE_ID};
use crate::{ByteRange, ByteStream, Error, GetOptions, Object, ObjectMeta};

/// S3 gives out no more keys at once.
const LARGEST_PAGE: usize = 1000;

/// An object's metadata, ours included.
pub(super) struct Head {
    pub(super) meta: ObjectMeta,
    /// Which write made it, where that write was conditional.
    pub(super) write_id: Option<String>,
}

pub(super) async fn head(bucket: &Bucket, key: &ObjectKey) -> Result<Head, Error> {
    let request = bucket.client.head_object().bucket(&bucket.name).key(bucket.full_key(key)?);
    let answer = request.send().await.map_err(|error| failure::map("look up object", key, &error))?;
    let size = answer.content_length().and_then(|len| u64::try_from(len).ok()).unwrap_or_default();
    let meta = ObjectMeta {
        key: key.clone(),
        size,
        etag: unquoted(answer.e_tag()),
        modified: system_time(answer.last_modified()),
    };
    let write_id = answer.metadata().and_then(|metadata| metadata.get(WRITE_ID)).cloned();
    Ok(Head { meta, write_id })
}

pub(super) async fn get(bucket: &Bucket, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
    let mut request = bucket.client.get_object().bucket(&bucket.name).key(bucket.full_key(key)?);
    if let Some(range) = options.range {
        // `bytes=-0` and an end before the start are no ranges in HTTP: a server ignores them and sends everything.
        if matches!(range, ByteRange::Last(0)) || matches!(range, ByteRange::Inclusive(start, end) if end < start) {
            return Err(Error::InvalidRange { size: head(bucket, key).await?.meta.size });
        }
        request = request.range(range_header(range));
    }
    match &options.if_none_match[..] {
        [] => {}
        [etag] => request = request.if_none_match(quoted(etag)),
        // S3 compares with one tag; some endpoints take a list for one odd tag.
        several => {
            let etag = head(bucket, key).await?.meta.etag;
            if several.contains(&etag) {
                return Err(Error::NotModified { key: key.to_string(), etag });
            }
        }
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => match failure::status(&error) {
            Some(304) => {
                let etag = options.if_none_match.into_iter().next().unwrap_or_default();
                return Err(Error::NotModified { key: key.to_string(), etag });
            }
            Some(416) => return Err(Error::InvalidRange { size: head(bucket, key).await?.meta.size }),
            _ => return Err(failure::map("read object", key, &error)),
        },
    };
    object(key, options.range, answer)
}

fn object(key: &ObjectKey, asked: Option<ByteRange>, answer: GetObjectOutput) -> Result<Object, Error> {
    let nonsense = |what: &str| Error::backend("read object", format!("the answer has no sound {what}"));
    let len = answer.content_length().and_then(|len| u64::try_from(len).ok());
    let len = len.ok_or_else(|| nonsense("Content-Length"))?;
    let (range, size) = match answer.content_range() {
        Some(header) => content_range(header).ok_or_else(|| nonsense("Content-Range"))?,
        // Without it the answer is everything, whatever was asked for.
        None => {
            let range = asked.map_or(Ok(0..len), |asked| asked.resolve(len))?;
            if range != (0..len) {
                return Err(nonsense("Content-Range"));
            }
            (range, len)
        }
    };
    if range.end - range.start != len {
        return Err(nonsense("Content-Range"));
    }
    let meta = ObjectMeta {
        key: key.clone(),
        size,
        etag: unquoted(answer.e_tag()),
        modified: system_time(answer.last_modified()),
    };
    Ok(Object { meta, range, body: stream(answer.body) })
}

fn stream(body: aws_sdk_s3::primitives::ByteStream) -> ByteStream {
    futures::stream::try_unfold(body, |mut body| async move {
        let piece = body.try_next().await.map_err(io::Error::other)?;
        Ok(piece.map(|piece| (piece, body)))
    })
    .boxed()
}

pub(super) async fn list(bucket: &Bucket, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error> {
    let mut page = ListPage::default();
    // No key has such a character, and not every endpoint can answer about it in XML.
    if limit == 0 || prefix.chars().any(char::is_control) {
        return Ok(page);
    }
    let mut after = after.map(|after| format!("{}{after}", bucket.prefix));
    loop {
        let wanted = (limit - page.objects.len()).min(LARGEST_PAGE);
        let request = bucket
            .client
            .list_objects_v2()
            .bucket(&bucket.name)
            .prefix(format!("{}{prefix}", bucket.prefix))
            .set_start_after(after)
            .max_keys(i32::try_from(wanted).unwrap_or(i32::MAX));
        let answer = request.send().await.map_err(|error| failure::map_without_key("list objects", &error))?;
        let more = answer.is_truncated().unwrap_or_default();
        after = answer.contents().last().and_then(|object| object.key()).map(str::to_owned);
        page.objects.extend(answer.contents().iter().filter_map(|object| entry(bucket, object)));
        if !more || after.is_none() {
            return Ok(page);
        }
        if page.objects.len() >= limit {
            page.next = page.objects.last().map(|last| last.key.to_string());
            return Ok(page);
        }
    }
}

/// `None` for what others put there under a key that is none of ours, such as `folder/`.
fn entry(bucket: &Bucket, object: &aws_sdk_s3::types::Object) -> Option<ObjectEntry> {
    let key = ObjectKey::new(object.key()?.strip_prefix(&bucket.prefix)?).ok()?;
    let modified_ms = object.last_modified().and_then(|time| time.to_millis().ok()).unwrap_or_default();
    let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
    Some(ObjectEntry { key, size, etag: unquoted(object.e_tag()), modified_ms })
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::From(start) => format!("bytes={start}-"),
        ByteRange::Inclusive(start, end) => format!("bytes={start}-{end}"),
        ByteRange::Last(count) => format!("bytes=-{count}"),
    }
}

/// `bytes 0-4/10` as the half-open range and the whole size.
fn content_range(header: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last, size): (u64, u64, u64) = (start.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (start <= last && last < size).then_some((start..last + 1, size))
}

pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

pub(super) fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn system_time(time: Option<&DateTime>) -> SystemTime {
    time.and_then(|time| SystemTime::try_from(*time).ok()).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-4/10"), Some((0..5, 10)));
        assert_eq!(content_range("bytes 9-9/10"), Some((9..10, 10)));
        for bad in ["bytes 5-4/10", "bytes 0-10/10", "bytes */10", "0-4/10", "bytes 0-4/*", ""] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
