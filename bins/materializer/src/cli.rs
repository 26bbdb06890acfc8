use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lakehouse_common::ConfigFlags;
use lakehouse_distill::{source::Source, time::Instant};

/// Turns agent logs into evidence that can be traced back to its source line, scores it, and exports
/// what may be learned from.
///
/// Exit codes: 0 fine; 1 rows were skipped and --strict is on; 2 unusable input, or a failure.
#[derive(Debug, Parser)]
#[command(name = "materializer", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) materialize: MaterializeArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The folder that holds data/, reports/ and exports/ (`materializer.root`)
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Only this source, e.g. outcomes; may be given more than once
    #[arg(long, global = true, value_name = "NAME", value_parser = source)]
    pub(crate) source: Vec<Source>,
    /// Only rows from then on: a date, or RFC 3339; a whole day at a time where files are by day
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) since: Option<Instant>,
    /// Write nothing; show what would be written
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Exit with 1 if any row was skipped (`materializer.strict`)
    #[arg(long, global = true)]
    pub(crate) strict: bool,
}

/// What materialize takes, whether it is named or not.
#[derive(Debug, Args)]
pub(crate) struct MaterializeArgs {
    /// Afterwards bring the evidence into the lakehouse behind this gateway, as dataset and index `evidence`
    /// (`materializer.gateway_url`)
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) to_lakehouse: Option<String>,
    /// A file with the gateway's token; else the variable LAKEHOUSE_TOKEN, else `auth.token` for the gateway
    /// of the configuration
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// provenance.recorded_at of new evidence, instead of each row's own time
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) recorded_at: Option<Instant>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn new rows of the sources into evidence (the default)
    Materialize,
    /// Score the evidence
    Score,
    /// Export what may be learned from, as instruction, input and output
    ExportSft {
        /// Also runs that were good in the end, not at once
        #[arg(long)]
        include_partial: bool,
    },
    /// Take a baseline, and show what has changed since the last one
    AuditBaseline,
    /// Show where the scorer changed its mind, and which measurements have moved
    Drift {
        /// Buckets of each distribution (`materializer.drift_buckets`)
        #[arg(long, value_name = "N")]
        buckets: Option<usize>,
    },
    /// Walk from a run back to its source lines, and forward to what became of it
    Trace {
        /// The run
        run_id: String,
    },
}

impl Command {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Materialize => "materialize",
            Self::Score => "score",
            Self::ExportSft { .. } => "export-sft",
            Self::AuditBaseline => "audit-baseline",
            Self::Drift { .. } => "drift",
            Self::Trace { .. } => "trace",
        }
    }
}

/// The flags that set a key of `[materializer]`.
pub(crate) fn keys(cli: &Cli) -> Vec<(String, String)> {
    let buckets = match &cli.command {
        Some(Command::Drift { buckets }) => buckets.map(|n| n.to_string()),
        _ => None,
    };
    let keys = [
        ("root", cli.common.root.as_ref().map(|root| root.display().to_string())),
        ("gateway_url", cli.materialize.to_lakehouse.clone()),
        ("strict", cli.common.strict.then(|| "true".to_owned())),
        ("drift_buckets", buckets),
    ];
    keys.into_iter().filter_map(|(key, text)| Some((format!("materializer.{key}"), text?))).collect()
}

fn source(name: &str) -> Result<Source, String> {
    Source::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Source::ALL.iter().map(|source| source.name()).collect();
        format!("there is no such source; there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_behind_the_command_and_materialize_is_the_default() {
        let before = Cli::try_parse_from(["materializer", "--root", "/r", "score", "--json"]).unwrap();
        assert!(matches!(before.command, Some(Command::Score)) && before.common.json);
        let none =
            Cli::try_parse_from(["materializer", "--source", "outcomes.jsonl", "--since", "2026-04-01"]).unwrap();
        assert!(none.command.is_none());
        assert_eq!(none.common.source, [Source::Outcomes]);
        assert_eq!(none.common.since.unwrap().to_string(), "2026-04-01T00:00:00Z");
        assert!(Cli::try_parse_from(["materializer", "--source", "nope"]).is_err());
    }
}
