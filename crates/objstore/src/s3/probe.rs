//! What the endpoint can do, found out by trying. Servers that don't know a condition ignore it
//! and answer 200, so no documentation and no version number would be as good.

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};

use super::{
    Bucket, failure, multipart,
    read::{quoted, unquoted},
};
use crate::Error;

const ACTION: &str = "probe S3 endpoint";
/// Looks like a tag, and is no object's.
const WRONG_TAG: &str = "00000000000000000000000000000000";

/// Which conditions the endpoint decides. That it decides them on a write of one request is no ability
/// but a must.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    /// How `If-Match` wants the tag on a write of one request.
    pub(super) put_if_match: TagForm,
    /// `If-None-Match: *` where an upload in parts is completed.
    pub(super) complete_if_absent: bool,
    /// `If-Match` there.
    pub(super) complete_if_match: Option<TagForm>,
}

/// How a tag is written in `If-Match`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TagForm {
    /// As HTTP has it.
    #[default]
    Quoted,
    /// Ceph's gateway compares the quotes too, with a tag that has none.
    Bare,
}

impl TagForm {
    pub(super) fn of(self, etag: &str) -> String {
        match self {
            Self::Quoted => quoted(etag),
            Self::Bare => etag.to_owned(),
        }
    }
}

/// What became of a conditional request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done(String),
    Refused,
}

pub(super) async fn abilities(bucket: &Bucket) -> Result<Abilities, Error> {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let probe = Probe { bucket, key: format!("{}_lakehouse/probe-{nanos:x}-{:x}", bucket.prefix, std::process::id()) };
    let found = probe.run().await;
    let request = bucket.client.delete_object().bucket(&bucket.name).key(&probe.key);
    if let Err(error) = request.send().await {
        tracing::warn!(key = probe.key, error = %failure::map_without_key("delete object", &error), "a probe stays");
    }
    let found = found?;
    for (missing, what) in [
        (
            !found.complete_if_absent,
            "If-None-Match on CompleteMultipartUpload: large conditional writes will be refused",
        ),
        (
            found.complete_if_match.is_none(),
            "If-Match on CompleteMultipartUpload: large conditional overwrites will be refused",
        ),
    ] {
        if missing {
            tracing::warn!("the S3 endpoint does not decide {what}");
        }
    }
    Ok(found)
}

struct Probe<'a> {
    bucket: &'a Bucket,
    key: String,
}

impl Probe<'_> {
    async fn run(&self) -> Result<Abilities, Error> {
        let lacks = |how: &str| {
            let text = format!(
                "the S3 endpoint lacks conditional PUT: {how}. Without it two writers could lose each other's objects, \
                 so this endpoint can't be used"
            );
            Error::backend(ACTION, text)
        };
        match self.put(Some("*"), None).await? {
            Answer::Done(_) => {}
            Answer::Refused => return Err(lacks("it refused `If-None-Match: *` where no object was")),
        }
        let Answer::Refused = self.put(Some("*"), None).await? else {
            return Err(lacks("it ignored `If-None-Match: *` and overwrote an object"));
        };
        let put_if_match = self.if_match(Way::Put).await?;
        let put_if_match = put_if_match.ok_or_else(|| lacks("it does not decide `If-Match`"))?;
        let complete_if_absent = self.complete(Some("*"), None).await? == Answer::Refused;
        let complete_if_match = self.if_match(Way::Complete).await?;
        Ok(Abilities { put_if_match, complete_if_absent, complete_if_match })
    }

    /// A wrong tag must be refused and the right one accepted, in one form or the other.
    async fn if_match(&self, way: Way) -> Result<Option<TagForm>, Error> {
        for form in [TagForm::Quoted, TagForm::Bare] {
            let Answer::Refused = self.write(way, None, Some(form.of(WRONG_TAG))).await? else { return Ok(None) };
            // Just written, without a condition: its tag is known.
            let Answer::Done(etag) = self.put(None, None).await? else { return Ok(None) };
            if let Answer::Done(_) = self.write(way, None, Some(form.of(&etag))).await? {
                return Ok(Some(form));
            }
        }
        Ok(None)
    }

    async fn write(&self, way: Way, absent: Option<&str>, matching: Option<String>) -> Result<Answer, Error> {
        match way {
            Way::Put => self.put(absent, matching).await,
            Way::Complete => self.complete(absent, matching).await,
        }
    }

    async fn put(&self, if_none_match: Option<&str>, if_match: Option<String>) -> Result<Answer, Error> {
        let request = self
            .bucket
            .client
            .put_object()
            .bucket(&self.bucket.name)
            .key(&self.key)
            .set_if_none_match(if_none_match.map(str::to_owned))
            .set_if_match(if_match)
            .body(ByteStream::from_static(b"probe"));
        match request.send().await {
            Ok(answer) => Ok(Answer::Done(unquoted(answer.e_tag()))),
            Err(error) if is_refusal(failure::status(&error)) => Ok(Answer::Refused),
            Err(error) => Err(failure::map_without_key(ACTION, &error)),
        }
    }

    async fn complete(&self, if_none_match: Option<&str>, if_match: Option<String>) -> Result<Answer, Error> {
        let (client, bucket) = (&self.bucket.client, &self.bucket.name);
        let begun = client.create_multipart_upload().bucket(bucket).key(&self.key).send().await;
        let begun = begun.map_err(|error| failure::map_without_key(ACTION, &error))?;
        let id = begun.upload_id().unwrap_or_default();
        let part = client.upload_part().bucket(bucket).key(&self.key).upload_id(id).part_number(1);
        let part = part.body(ByteStream::from_static(b"probe")).send().await;
        let part = part.map_err(|error| failure::map_without_key(ACTION, &error))?;
        let part = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag).build();
        let request = client
            .complete_multipart_upload()
            .bucket(bucket)
            .key(&self.key)
            .upload_id(id)
            .multipart_upload(CompletedMultipartUpload::builder().parts(part).build())
            .set_if_none_match(if_none_match.map(str::to_owned))
            .set_if_match(if_match);
        match request.send().await {
            Ok(answer) => Ok(Answer::Done(unquoted(answer.e_tag()))),
            Err(error) => {
                multipart::abort(self.bucket, &self.key, id).await;
                if is_refusal(failure::status(&error)) {
                    return Ok(Answer::Refused);
                }
                Err(failure::map_without_key(ACTION, &error))
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Put,
    Complete,
}

/// The condition does not hold, or (400, 501) the endpoint says that it knows no such condition:
/// then the right one is refused as well.
fn is_refusal(status: Option<u16>) -> bool {
    matches!(status, Some(412 | 400 | 501))
}
