use std::{io::Read as _, path::Path, time::Duration};

use serde::Deserialize;

use crate::{Error, cli::Cli};

const GATEWAY: &str = "http://127.0.0.1:3110";
const K: usize = 5;
const CONTEXT_TOKENS: usize = 2_000;
const TIMEOUT_SECONDS: u64 = 120;
/// Beyond this a prompt has no room for each of them to say anything.
const MOST_K: usize = 100;

/// The table `[replay]` of a configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    gateway_url: Option<String>,
    models: Option<Vec<String>>,
    k: Option<usize>,
    context_tokens: Option<usize>,
    timeout_seconds: Option<u64>,
}

/// What is in force: file < environment < flags.
pub(crate) struct Settings {
    pub(crate) cli: Cli,
    pub(crate) task: String,
    pub(crate) gateway: String,
    pub(crate) models: Vec<String>,
    pub(crate) k: usize,
    pub(crate) context_tokens: usize,
    pub(crate) timeout: Duration,
    pub(crate) token: Option<String>,
}

impl Settings {
    pub(crate) fn new(cli: Cli) -> Result<Self, Error> {
        let table = cli.config.as_deref().map(read_table).transpose()?.unwrap_or_default();
        let task = task(&cli)?;
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let models = if !cli.models.is_empty() {
            cli.models.clone()
        } else if let Some(models) = env("LAKEHOUSE_REPLAY_MODELS") {
            models.split(',').map(str::to_owned).collect()
        } else {
            table.models.unwrap_or_default()
        };
        let models: Vec<String> = models.iter().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()).collect();
        if models.is_empty() {
            return Err(Error::Usage(
                "no model: use --models, LAKEHOUSE_REPLAY_MODELS, or `models` in [replay]".into(),
            ));
        }
        let k = cli.k.or(table.k).unwrap_or(K);
        if k > MOST_K {
            return Err(Error::Usage(format!("--k {k} is more than {MOST_K}")));
        }
        let gateway = cli.gateway.clone().or_else(|| env("LAKEHOUSE_GATEWAY_URL")).or(table.gateway_url);
        let timeout = cli.timeout_seconds.or(table.timeout_seconds).unwrap_or(TIMEOUT_SECONDS);
        Ok(Self {
            task,
            gateway: gateway.unwrap_or_else(|| GATEWAY.to_owned()),
            models,
            k,
            context_tokens: cli.context_tokens.or(table.context_tokens).unwrap_or(CONTEXT_TOKENS),
            timeout: Duration::from_secs(timeout.max(1)),
            token: token(&cli, env("LAKEHOUSE_TOKEN"))?,
            cli,
        })
    }
}

fn read_table(path: &Path) -> Result<Table, Error> {
    let bad = |why: String| Error::Usage(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    let mut whole: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(e.to_string()))?;
    // The other tables are the services'.
    let table = whole.remove("replay").unwrap_or_else(|| toml::Table::new().into());
    table.try_into().map_err(|e: toml::de::Error| bad(format!("[replay]: {}", e.message())))
}

fn task(cli: &Cli) -> Result<String, Error> {
    let task = match (&cli.task, &cli.task_file) {
        (Some(task), _) => task.clone(),
        (None, Some(path)) => {
            let mut text = String::new();
            let read = if path.as_os_str() == "-" {
                std::io::stdin().read_to_string(&mut text)
            } else {
                std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
            };
            read.map_err(|e| Error::Usage(format!("read the task in {}: {e}", path.display())))?;
            text
        }
        (None, None) => String::new(),
    };
    let task = task.trim().to_owned();
    if task.is_empty() { Err(Error::Usage("the task is empty".to_owned())) } else { Ok(task) }
}

fn token(cli: &Cli, from_environment: Option<String>) -> Result<Option<String>, Error> {
    let token = match &cli.token_file {
        Some(path) => std::fs::read_to_string(path)
            .map(Some)
            .map_err(|e| Error::Usage(format!("read the token in {}: {e}", path.display())))?,
        None => from_environment,
    };
    Ok(token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()))
}
