use std::{io::Read as _, path::PathBuf, time::Duration};

use lakehouse_common::config::{Config, Replay};

use crate::{Error, cli::Cli};

/// The variables that two keys had before `[replay]` was a section like all others, with those of today.
pub(crate) const FORMER: [(&str, &str); 2] = [
    ("LAKEHOUSE_GATEWAY_URL", "LAKEHOUSE_REPLAY__GATEWAY_URL"),
    ("LAKEHOUSE_REPLAY_MODELS", "LAKEHOUSE_REPLAY__MODELS"),
];

/// The flags that set a key of `[replay]`.
pub(crate) fn keys(cli: &Cli) -> Vec<(String, String)> {
    let number = |n: Option<usize>| n.map(|n| n.to_string());
    let keys = [
        ("root", cli.root.as_ref().map(|root| root.display().to_string())),
        ("gateway_url", cli.gateway.clone()),
        ("models", (!cli.models.is_empty()).then(|| cli.models.join(","))),
        ("k", number(cli.k)),
        ("context_tokens", number(cli.context_tokens)),
        ("timeout_seconds", cli.timeout_seconds.map(|n| n.to_string())),
    ];
    keys.into_iter().filter_map(|(key, text)| Some((format!("replay.{key}"), text?))).collect()
}

/// What is in force.
pub(crate) struct Settings {
    pub(crate) cli: Cli,
    pub(crate) task: String,
    pub(crate) root: PathBuf,
    pub(crate) gateway: String,
    pub(crate) models: Vec<String>,
    pub(crate) k: usize,
    pub(crate) context_tokens: usize,
    pub(crate) timeout: Duration,
    pub(crate) token: Option<String>,
}

impl Settings {
    pub(crate) fn new(cli: Cli, config: &Config) -> Result<Self, Error> {
        let task = task(&cli)?;
        let token = token(&cli, config)?;
        let Replay { root, gateway_url, models, k, context_tokens, timeout_seconds } = config.replay.clone();
        let models: Vec<String> = models.iter().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()).collect();
        if models.is_empty() {
            return Err(Error::Usage("no model: use --models, LAKEHOUSE_REPLAY__MODELS, or replay.models".into()));
        }
        Ok(Self {
            task,
            root,
            gateway: gateway_url.base().to_owned(),
            models,
            k,
            context_tokens,
            timeout: Duration::from_secs(timeout_seconds),
            token,
            cli,
        })
    }
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

/// The lakehouse's own token goes to the gateway that its configuration names, and to no other.
fn token(cli: &Cli, config: &Config) -> Result<Option<String>, Error> {
    let token = match &cli.token_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Error::Usage(format!("read the token in {}: {e}", path.display())))?,
        None => match std::env::var("LAKEHOUSE_TOKEN") {
            Ok(token) if !token.trim().is_empty() => token,
            _ if cli.gateway.is_none() => config.auth.token.expose().to_owned(),
            _ => String::new(),
        },
    };
    let token = token.trim();
    Ok((!token.is_empty()).then(|| token.to_owned()))
}
