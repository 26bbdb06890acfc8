//! The client, and the bucket at start.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::{Bucket, S3Options, failure};
use crate::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the beginning of a request to the first byte of its answer, so with the time to send a
/// body; larger bodies get more, see [`super::multipart`].
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// The one region whose buckets are made without naming it.
const DEFAULT_REGION: &str = "us-east-1";

pub(super) fn client(options: &S3Options) -> Result<Client, Error> {
    for (name, value) in [
        ("bucket", &options.bucket),
        ("region", &options.region),
        ("access_key_id", &options.access_key_id),
        ("secret_access_key", &options.secret_access_key),
    ] {
        if value.is_empty() {
            return Err(Error::backend("open S3 bucket", format!("`{name}` is empty")));
        }
    }
    let token = options.session_token.clone().filter(|token| !token.is_empty());
    let credentials =
        Credentials::new(&options.access_key_id, &options.secret_access_key, token, None, "configuration");
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let retry = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF);
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .region(Region::new(options.region.clone()))
        .credentials_provider(credentials)
        .force_path_style(options.path_style)
        .retry_config(retry)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(ANSWER_TIMEOUT).build())
        // The SDK's own default adds checksum trailers that many servers other than AWS refuse.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    config.set_endpoint_url(options.endpoint.clone());
    Ok(Client::from_conf(config.build()))
}

pub(super) async fn find_or_create_bucket(bucket: &Bucket, options: &S3Options) -> Result<(), Error> {
    let Err(error) = bucket.client.head_bucket().bucket(&bucket.name).send().await else { return Ok(()) };
    let place = options.endpoint.as_deref().unwrap_or("AWS");
    let name = &bucket.name;
    match failure::status(&error) {
        Some(404) if options.create_bucket => {}
        Some(404) => {
            let text = format!("bucket `{name}` does not exist at {place}: make it, or set `create_bucket = true`");
            return Err(Error::backend("open S3 bucket", text));
        }
        Some(401 | 403) => {
            let text =
                format!("access to bucket `{name}` at {place} is denied: check the credentials and their policy");
            return Err(Error::backend("open S3 bucket", text));
        }
        Some(301) => {
            let text = format!("bucket `{name}` is in another region than `{}`", options.region);
            return Err(Error::backend("open S3 bucket", text));
        }
        _ => return Err(failure::map_without_key("open S3 bucket", &error)),
    }
    let location = (options.region != DEFAULT_REGION).then(|| {
        let region = BucketLocationConstraint::from(options.region.as_str());
        CreateBucketConfiguration::builder().location_constraint(region).build()
    });
    let made = bucket.client.create_bucket().bucket(name).set_create_bucket_configuration(location).send().await;
    match made {
        Ok(_) => tracing::info!(bucket = name, "made the S3 bucket"),
        // Another storaged that starts at the same time was faster.
        Err(error) if failure::code(&error) == Some("BucketAlreadyOwnedByYou") => {}
        Err(error) => return Err(failure::map_without_key("create S3 bucket", &error)),
    }
    Ok(())
}

pub(super) async fn check(bucket: &Bucket) -> Result<(), Error> {
    let checked = bucket.client.head_bucket().bucket(&bucket.name).send().await;
    checked.map(drop).map_err(|error| failure::map_without_key("look up S3 bucket", &error))
}
