//! Objects in a bucket of any S3 endpoint that can write conditionally.

mod connect;
mod failure;
mod multipart;
mod parts;
mod probe;
mod read;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use lakehouse_types::{ObjectKey, store::ListPage};

use self::probe::Abilities;
use crate::{ByteStream, Error, GetOptions, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome};

/// Which bucket, where, and as whom. The credentials come as values; nothing is read from the
/// environment or from AWS' own files.
#[derive(Clone)]
pub struct S3Options {
    /// The endpoint's URL; absent: the region's own at AWS.
    pub endpoint: Option<String>,
    /// The region; most other servers take any.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Stands before every key, with a `/` between; empty: nothing does.
    pub prefix: String,
    /// The bucket in the path instead of the host name.
    pub path_style: bool,
    /// Make the bucket if it is missing, instead of saying so.
    pub create_bucket: bool,
    /// The access key's id.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: String,
    /// For temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // All but the credentials, which have no business in a log.
        f.debug_struct("S3Options")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("path_style", &self.path_style)
            .field("create_bucket", &self.create_bucket)
            .finish_non_exhaustive()
    }
}

/// An [`ObjectStore`] in an S3 bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct S3 {
    bucket: Arc<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    client: Client,
    name: String,
    /// Empty, or ends with a slash.
    prefix: String,
    abilities: Abilities,
}

impl S3 {
    /// Connects, looks for the bucket and finds out, by writing to keys of its own below
    /// `_lakehouse/`, whether the endpoint decides conditional writes. An endpoint that does not
    /// is refused: two writers could lose each other's work on it, silently. Uploads that died
    /// more than a day ago are aborted.
    ///
    /// # Errors
    /// What is wrong with the options, the bucket or the endpoint.
    pub async fn open(options: S3Options) -> Result<Self, Error> {
        let prefix = match options.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let client = connect::client(&options)?;
        let mut bucket = Bucket { client, name: options.bucket.clone(), prefix, abilities: Abilities::default() };
        connect::find_or_create_bucket(&bucket, &options).await?;
        bucket.abilities = probe::abilities(&bucket).await?;
        tracing::info!(bucket = bucket.name, abilities = ?bucket.abilities, "opened the S3 bucket");
        multipart::abort_forgotten_uploads(&bucket).await;
        Ok(Self { bucket: Arc::new(bucket) })
    }
}

impl Bucket {
    /// The key in the bucket. Too long with the prefix is too long.
    fn full_key(&self, key: &ObjectKey) -> Result<String, Error> {
        Ok(ObjectKey::new(format!("{}{key}", self.prefix))?.into())
    }
}

#[async_trait]
impl ObjectStore for S3 {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, Error> {
        write::put(&self.bucket, key, body, options).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
        read::get(&self.bucket, key, options).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        Ok(read::head(&self.bucket, key).await?.meta)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let deletion = self.bucket.client.delete_object().bucket(&self.bucket.name).key(self.bucket.full_key(key)?);
        match deletion.send().await.map_err(|error| failure::map("delete object", key, &error)) {
            // Most endpoints answer 204 here too.
            Err(Error::NotFound { .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error> {
        read::list(&self.bucket, prefix, after, limit).await
    }

    async fn check(&self) -> Result<(), Error> {
        connect::check(&self.bucket).await
    }
}
