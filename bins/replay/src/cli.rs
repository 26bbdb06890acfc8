use std::path::PathBuf;

use clap::Parser;
use lakehouse_common::ConfigFlags;

/// Answers a task with a model that is told what similar runs did before, checks the answer, and
/// appends one row to data/_kb/replay_runs.jsonl, whatever happens.
///
/// Exit codes: 0 the answer passed every check; 1 it did not; 2 there is no answer, or the arguments are wrong.
#[derive(Debug, Parser)]
#[command(name = "replay", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) config: ConfigFlags,
    /// The task
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "task_file",
        required_unless_present_any = ["task_file", "print_config", "check_config"]
    )]
    pub(crate) task: Option<String>,
    /// A file with the task; - for the standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) task_file: Option<PathBuf>,
    /// The folder that holds data/ (`replay.root`)
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The gateway (`replay.gateway_url`)
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// Models, the first to try first (`replay.models`)
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub(crate) models: Vec<String>,
    /// A file with the gateway's token; else the variable LAKEHOUSE_TOKEN, else `auth.token` for the gateway
    /// of the configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How many earlier runs to remember (`replay.k`)
    #[arg(long, value_name = "N")]
    pub(crate) k: Option<usize>,
    /// Tokens that these may take in the prompt (`replay.context_tokens`)
    #[arg(long, value_name = "N")]
    pub(crate) context_tokens: Option<usize>,
    /// How long a model may take (`replay.timeout_seconds`)
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout_seconds: Option<u64>,
    /// Remember nothing
    #[arg(long, conflicts_with = "local_only")]
    pub(crate) no_retrieval: bool,
    /// Remember from the local evidence only, by its words, without the lakehouse's index
    #[arg(long)]
    pub(crate) local_only: bool,
    /// After a failed check, or without an answer, try the next model
    #[arg(long)]
    pub(crate) allow_escalation: bool,
    /// Show what would be asked; ask nobody, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Have the answer streamed
    #[arg(long)]
    pub(crate) stream: bool,
    /// The answer must contain this; may be given more than once
    #[arg(long, value_name = "TEXT")]
    pub(crate) must_contain: Vec<String>,
    /// The answer must be JSON
    #[arg(long)]
    pub(crate) json_answer: bool,
    /// The answer must be JSON of this schema
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// Let the answer name files that neither the task nor its context names and that do not exist
    #[arg(long)]
    pub(crate) allow_new_paths: bool,
    /// Print the row instead of the answer
    #[arg(long)]
    pub(crate) json: bool,
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
    fn there_is_one_task_and_models_are_a_list() {
        assert!(Cli::try_parse_from(["replay"]).is_err());
        assert!(Cli::try_parse_from(["replay", "--task", "a", "--task-file", "b"]).is_err());
        assert!(Cli::try_parse_from(["replay", "--print-config"]).is_ok());
        let cli = Cli::try_parse_from(["replay", "--task", "a", "--models", "small,large"]).unwrap();
        assert_eq!(cli.models, ["small", "large"]);
    }
}
