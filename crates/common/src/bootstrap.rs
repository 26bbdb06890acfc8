//! From `main` to a running service or job: flags, configuration, logging, the socket, the runtime.

use std::{future::Future, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Parser};
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
    #[command(flatten)]
    config: ConfigFlags,
    /// Address to listen on: this service's `bind` key
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
}

/// Flags of every program that has a configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigFlags {
    /// The configuration file [default: $LAKEHOUSE_CONFIG, else config/lakehouse.toml where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set a key, over the file and the environment: --set queryd.timeout_seconds=5
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the whole configuration as it is in force, secrets masked, and exit
    #[arg(long, global = true)]
    pub print_config: bool,
    /// Check the configuration and exit
    #[arg(long, global = true)]
    pub check_config: bool,
}

impl ConfigFlags {
    /// The configuration in force; or, where that was all that was asked for, or where it can't be used, the
    /// code to end with. Each problem is then a line on standard error.
    fn load(&self, program: &str, former: &[(&str, &str)], own: &[(String, String)]) -> Result<Config, ExitCode> {
        let config = load(program, self, former, own).map_err(|error| {
            for problem in error.problems {
                say(&format!("{program}: config: {problem}"));
            }
            ExitCode::from(BAD_CONFIG)
        })?;
        if self.print_config {
            println!("{}", config.show().trim_end());
        }
        if self.print_config || self.check_config { Err(ExitCode::SUCCESS) } else { Ok(config) }
    }
}

/// The configuration of a job, a program that ends by itself, after logging has begun. `own` are its flags
/// as keys and values, which win; `former` are variables that its keys had before there were sections for
/// jobs, each with the one of today, which wins.
///
/// # Errors
/// The code to end with: of a bad configuration, or 0 where only the configuration was asked for.
pub fn prepare_job(
    job: &str,
    flags: &ConfigFlags,
    former: &[(&str, &str)],
    own: &[(String, String)],
) -> Result<Config, ExitCode> {
    let config = flags.load(job, former, own)?;
    telemetry::init(&config.log).map_err(|error| {
        say(&format!("{job}: start logging: {error}"));
        ExitCode::from(BAD_CONFIG)
    })?;
    Ok(config)
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
    let own: Vec<_> = flags.bind.iter().map(|address| (format!("{service}.bind"), address.clone())).collect();
    let config = match flags.config.load(service, &[], &own) {
        Ok(config) => config,
        Err(code) => return code,
    };
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

fn load(
    service: &str,
    flags: &ConfigFlags,
    former: &[(&str, &str)],
    own: &[(String, String)],
) -> Result<Config, ConfigError> {
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
    set.extend_from_slice(own);
    let given = |(former, today): &(&str, &str)| {
        let text = std::env::var(former).ok().filter(|text| !text.trim().is_empty())?;
        Some(((*today).to_owned(), text))
    };
    // The later wins.
    let env = former.iter().filter_map(given).chain(std::env::vars_os().filter_map(utf8)).collect();
    let sources = Sources { file, env, flags: set };
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
        let flags = Flags::parse_from(["service".as_ref(), "--config".as_ref(), path.as_os_str()]).config;
        assert!(load("catalogd", &flags, &[], &[]).is_ok());
        let problems = load("storaged", &flags, &[], &[]).unwrap_err().problems;
        assert_eq!(problems.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["s3.secret_access_key_file"]);
    }
}
