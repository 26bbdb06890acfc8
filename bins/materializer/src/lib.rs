//! The materializer: reads `data/_kb`, writes evidence, scored runs, exports and receipts.
//!
//! What a row means is decided in `lakehouse-distill`; here is what touches the disk, the clock, the
//! terminal and the network. Every command finishes what it can, says what it could not, and leaves
//! whole files only.

mod cli;
mod commands;
mod dedup;
mod error;
mod job;
mod lakehouse;
mod pairs;
mod progress;
mod receipts;
mod report;
mod staging;
mod tables;

use std::{ffi::OsString, io::Write as _, process::ExitCode};

use clap::Parser as _;

use crate::{cli::Cli, job::Job};

/// Everything went well.
const FINE: u8 = 0;
/// Under `--strict`: everything was done, but some rows could not be read.
const SKIPS: u8 = 1;
/// The arguments or the input can't be used, or something failed.
const UNUSABLE: u8 = 2;

/// Runs the command line `args`, the program's name first, and says how it went: 0 fine,
/// 1 rows were skipped and `--strict` is on, 2 unusable input or a failure.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { UNUSABLE } else { FINE });
        }
    };
    let shown = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let config = match lakehouse_common::prepare_job("materializer", &cli.config, &[], &cli::keys(&cli)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let outcome = Job::new(&cli, &config.materializer, shown).and_then(|job| commands::run(&cli, &config, &job));
    let code = match outcome {
        Ok(report) => {
            let text = if cli.common.json { format!("{:#}\n", report.json) } else { report.text };
            // A reader that went away is no failure of the work, which is done.
            let _ = std::io::stdout().write_all(text.as_bytes());
            for error in &report.errors {
                let _ = writeln!(std::io::stderr(), "materializer: {error}");
            }
            if !report.errors.is_empty() {
                UNUSABLE
            } else if config.materializer.strict && report.skipped > 0 {
                SKIPS
            } else {
                FINE
            }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "materializer: {error}");
            UNUSABLE
        }
    };
    ExitCode::from(code)
}
