mod baseline;
mod drift;
mod export;
mod materialize;
mod score;
mod trace;

use lakehouse_common::config::Config;

use crate::{
    cli::{Cli, Command},
    error::{Error, Result},
    job::Job,
    report::Report,
};

/// Carries out the command, `materialize` if none is named.
pub(crate) fn run(cli: &Cli, config: &Config, job: &Job) -> Result<Report> {
    if let Some(command) = &cli.command
        && !matches!(command, Command::Materialize)
    {
        let args = &cli.materialize;
        if args.to_lakehouse.is_some() || args.token_file.is_some() || args.recorded_at.is_some() {
            let why = "--to-lakehouse, --token-file and --recorded-at belong to materialize, not to";
            return Err(Error::Unusable(format!("{why} {}", command.name())));
        }
    }
    match cli.command.as_ref().unwrap_or(&Command::Materialize) {
        Command::Materialize => materialize::run(job, &cli.materialize, config),
        Command::Score => score::run(job),
        Command::ExportSft { include_partial } => export::run(job, *include_partial),
        Command::AuditBaseline => baseline::run(job),
        Command::Drift { .. } => drift::run(job, config.materializer.drift_buckets),
        Command::Trace { run_id } => trace::run(job, run_id),
    }
}
