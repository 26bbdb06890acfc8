use std::{path::Path, sync::Arc, time::Duration};

use lakehouse_common::{
    StartError,
    config::{EmbedProvider, Embedd},
};
use lakehouse_embed::{Hash, Local, Ollama, OpenAi, OptionsError, Provider, RemoteOptions};

/// A connection that takes longer is not made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The provider that `[embedd]` names, and its model's name.
pub(crate) async fn set_up(config: &Embedd) -> Result<(Arc<dyn Provider>, String), StartError> {
    let named = |usual: &str| if config.model.is_empty() { usual.to_owned() } else { config.model.clone() };
    let refused = |error: OptionsError| StartError::new(format!("embedd.{error}"));
    Ok(match config.provider {
        EmbedProvider::Hash => {
            let dimension = if config.dimension == 0 { Hash::DIMENSION } else { config.dimension };
            // The name says which recipe made a vector, so it is not the configuration's to choose.
            if !config.model.is_empty() && config.model != Hash::MODEL {
                let usual = Hash::MODEL;
                return Err(StartError::new(format!(
                    "embedd.model: the model of `hash` is `{usual}`; see model_aliases"
                )));
            }
            (Arc::new(Hash::new(dimension).map_err(refused)?), Hash::MODEL.to_owned())
        }
        EmbedProvider::Ollama => {
            let model = named(Ollama::MODEL);
            (Arc::new(Ollama::new(&remote(config, &model, Ollama::URL)?).map_err(refused)?), model)
        }
        EmbedProvider::Openai => {
            let model = named(OpenAi::MODEL);
            (Arc::new(OpenAi::new(&remote(config, &model, OpenAi::URL)?).map_err(refused)?), model)
        }
        EmbedProvider::Local => {
            let usual = config.model_dir.file_name().and_then(|name| name.to_str()).unwrap_or("local");
            (Arc::new(load(&config.model_dir).await?), named(usual))
        }
    })
}

fn remote(config: &Embedd, model: &str, usual: &str) -> Result<RemoteOptions, StartError> {
    let url = match &config.url {
        Some(url) => url.url().clone(),
        None => usual.parse().map_err(|error| StartError::new(format!("embedd.url: {error}")))?,
    };
    Ok(RemoteOptions {
        url,
        model: model.to_owned(),
        api_key: config.api_key.expose().to_owned(),
        dimension: (config.dimension > 0).then_some(config.dimension),
        connect_timeout: CONNECT_TIMEOUT,
    })
}

/// Reads a model on a thread that may block: it can be a gigabyte.
async fn load(directory: &Path) -> Result<Local, StartError> {
    if directory.as_os_str().is_empty() {
        return Err(StartError::new("embedd.model_dir: the provider `local` needs the directory of a model"));
    }
    let directory = directory.to_owned();
    let loaded = tokio::task::spawn_blocking(move || Local::load(&directory)).await;
    let loaded = loaded.map_err(|error| StartError::new(format!("embedd.model_dir: load model: {error}")))?;
    loaded.map_err(|error| StartError::new(format!("embedd.model_dir: load model: {error}")))
}
