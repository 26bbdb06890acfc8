//! From `main` to a running service: flags, configuration, logging, the socket, the runtime.

use std::{future::Future, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser;
use tokio::net::TcpListener;

use crate::{
    Shutdown, StartError,
    config::{Config, ConfigError, DEFAULT_PATH, Sources},
    telemetry,
};

/// The exit code for a configuration that can't be used; anything else that fails is 1.
const BAD_CONFIG: u8 = 2;

/// Flags of every service.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// The configuration file [default: $LAKEHOUSE_CONFIG, else config/lakehouse.toml where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on: this service's `bind` key
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Set a key, over the file and the environment: --set queryd.timeout_seconds=5
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Print the whole configuration as it is in force, secrets masked, and exit
    #[arg(long)]
    print_config: bool,
    /// Check the configuration and exit
    #[arg(long)]
    check_config: bool,
}

/// Runs a service to its end. `bind` names its address; `run` is the service itself.
///
/// The socket is bound before `run` begins, so that a second copy fails at once.
pub fn run_service<F, Fut>(service: &'static str, bind: fn(&Config) -> SocketAddr, run: F) -> ExitCode
where
    F: FnOnce(Arc<Config>, TcpListener, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), StartError>>,
{
    let flags = Flags::parse();
    let config = match load(service, &flags) {
        Ok(config) => config,
        Err(error) => {
            for problem in error.problems {
                say(&format!("{service}: config: {problem}"));
            }
            return ExitCode::from(BAD_CONFIG);
        }
    };
    if flags.print_config {
        println!("{}", config.show().trim_end());
        return ExitCode::SUCCESS;
    }
    if flags.check_config {
        return ExitCode::SUCCESS;
    }
    match start(service, config, bind, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{service}: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start<F, Fut>(
    service: &'static str,
    config: Config,
    bind: fn(&Config) -> SocketAddr,
    run: F,
) -> Result<(), StartError>
where
    F: FnOnce(Arc<Config>, TcpListener, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), StartError>>,
{
    telemetry::init(&config.log).map_err(|error| StartError::new(format!("start logging: {error}")))?;
    raise_file_limit();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.limits.worker_threads > 0 {
        runtime.worker_threads(config.limits.worker_threads);
    }
    let runtime = runtime.enable_all().build().map_err(|error| StartError::new(format!("start runtime: {error}")))?;
    runtime.block_on(async {
        let address = bind(&config);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| StartError::new(format!("bind {address} ({service}.bind): {error}")))?;
        let shutdown =
            Shutdown::on_signals().map_err(|error| StartError::new(format!("listen for signals: {error}")))?;
        run(Arc::new(config), listener, shutdown).await
    })
}

/// Connections are files, and the usual soft limit of 1,024 is far below what is served here.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "raise the limit on open files");
    }
}

fn load(service: &str, flags: &Flags) -> Result<Config, ConfigError> {
    let fail = |key: &str, source: String, message: String| ConfigError {
        problems: vec![crate::config::Problem { key: key.to_owned(), source, message }],
    };
    let named = flags.config.clone().or_else(|| std::env::var_os("LAKEHOUSE_CONFIG").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_PATH));
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => Some((path, text)),
        // The built-in defaults are the shipped file; a file that was named must be there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => None,
        Err(error) => return Err(fail("file", path.display().to_string(), format!("read file: {error}"))),
    };
    let mut set = Vec::new();
    for pair in &flags.set {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(fail(pair, "flag".to_owned(), "expected section.key=value".to_owned()));
        };
        set.push((key.to_owned(), value.to_owned()));
    }
    if let Some(address) = &flags.bind {
        set.push((format!("{service}.bind"), address.clone()));
    }
    let sources = Sources { file, env: std::env::vars_os().filter_map(utf8).collect(), flags: set };
    Config::load_for(service, &sources)
}

fn utf8((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// Logging is not there yet, or has nothing to add: the operator reads this line.
fn say(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_starts_though_it_may_not_read_anothers_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lakehouse.toml");
        std::fs::write(&path, "[s3]\nsecret_access_key_file = \"/nonexistent/secret\"\n").unwrap();
        let flags = Flags::parse_from(["service".as_ref(), "--config".as_ref(), path.as_os_str()]);
        assert!(load("catalogd", &flags).is_ok());
        let problems = load("storaged", &flags).unwrap_err().problems;
        assert_eq!(problems.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["s3.secret_access_key_file"]);
    }
}
