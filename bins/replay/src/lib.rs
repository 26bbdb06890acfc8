//! Replay: remember, ask, check, ask a better model if that was asked for, and write down how it went.
//!
//! What is remembered, said and accepted is decided in `lakehouse-distill`; here is what reads the
//! disk, the clock and the network. Once there is a task, one row is appended whatever happens.

mod chat;
mod cli;
mod config;
mod gateway;
mod recall;
mod replay;
mod rules;

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use clap::Parser as _;

use crate::{cli::Cli, config::Settings};

/// The answer passed every check.
const PASSED: u8 = 0;
/// There is an answer, and it failed a check.
const NOT_PASSED: u8 = 1;
/// The arguments can't be used, or there is no answer, or the row could not be written.
const NO_ANSWER: u8 = 2;

/// Why a replay could not be carried out, or not be written down.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The arguments, or the files that they name.
    #[error("{0}")]
    Usage(String),
    /// The evidence or the row.
    #[error(transparent)]
    Files(#[from] lakehouse_distill::files::Error),
}

/// Runs the command line `args`, the program's name first, and says how it went: 0 the answer
/// passed, 1 it did not, 2 there is none, or the arguments are wrong.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { NO_ANSWER } else { PASSED });
        }
    };
    let config = match lakehouse_common::prepare_job("replay", &cli.config, &config::FORMER, &config::keys(&cli)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let outcome = Settings::new(cli, &config).and_then(|settings| replay::run(&settings));
    match outcome {
        Ok(done) => {
            // A reader that went away is no failure of the replay, which is written down.
            let _ = std::io::stdout().write_all(done.text.as_bytes());
            for note in done.notes {
                tracing::warn!("{note}");
            }
            ExitCode::from(if done.passed {
                PASSED
            } else if done.answered {
                NOT_PASSED
            } else {
                NO_ANSWER
            })
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "replay: {error}");
            ExitCode::from(NO_ANSWER)
        }
    }
}
