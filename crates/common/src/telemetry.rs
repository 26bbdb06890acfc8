use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error: text on a terminal, one JSON object a line otherwise.
///
/// # Errors
/// What is wrong with `log.level`, or that logging was started before.
pub(crate) fn init(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::builder().parse(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    started.map_err(|error| error.to_string())?;
    log_panics();
    Ok(())
}

/// A panic is a bug here, and is logged like one: with the place, in the log's own format.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("(no message)");
        tracing::error!(place, message, "panic");
    }));
}
