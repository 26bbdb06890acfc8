//! The store that the configuration names.

use std::{path::Path, sync::Arc};

use lakehouse_common::{
    StartError,
    config::{Config, StoreBackend},
};
use lakehouse_objstore::{Local, LocalOptions, Memory, ObjectStore, S3, S3Options};

use crate::StoreMetrics;

/// The backend's name, as in the configuration.
pub(crate) const fn name(config: &Config) -> &'static str {
    match config.storaged.backend {
        StoreBackend::Local => "local",
        StoreBackend::S3 => "s3",
        StoreBackend::Memory => "memory",
    }
}

pub(crate) async fn open(config: &Config, metrics: &StoreMetrics) -> Result<Arc<dyn ObjectStore>, StartError> {
    match config.storaged.backend {
        StoreBackend::Local => local(&config.storaged.root, metrics).await,
        StoreBackend::S3 => s3(config).await,
        StoreBackend::Memory => {
            tracing::warn!("storaged.backend is `memory`: all objects end with this process");
            Ok(Arc::new(Memory::default()))
        }
    }
}

async fn local(root: &Path, metrics: &StoreMetrics) -> Result<Arc<dyn ObjectStore>, StartError> {
    if root.as_os_str().is_empty() {
        return Err(StartError::new("storaged.root: it is empty"));
    }
    let options = LocalOptions { root: root.to_owned(), on_sync: Some(metrics.sync_observer()) };
    let opened = tokio::task::spawn_blocking(move || Local::open(options)).await;
    match opened {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(error)) => Err(StartError::new(format!("storaged.root: {error}"))),
        Err(error) => Err(StartError::new(format!("open object store: {error}"))),
    }
}

async fn s3(config: &Config) -> Result<Arc<dyn ObjectStore>, StartError> {
    let section = &config.s3;
    let options = S3Options {
        endpoint: section.endpoint.as_ref().map(|url| url.base().to_owned()),
        region: section.region.clone(),
        bucket: section.bucket.clone(),
        prefix: section.prefix.clone(),
        path_style: section.path_style,
        create_bucket: section.create_bucket,
        access_key_id: section.access_key_id.expose().to_owned(),
        secret_access_key: section.secret_access_key.expose().to_owned(),
        session_token: Some(section.session_token.expose().to_owned()),
    };
    match S3::open(options).await {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(StartError::new(format!("s3: {error}"))),
    }
}
