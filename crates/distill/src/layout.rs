//! Where things lie under the root. All paths are relative and use `/`.

use crate::time::Day;

/// The agents' logs.
pub const KB: &str = "data/_kb";
/// Evidence, by day and source.
pub const EVIDENCE: &str = "data/evidence";
/// Scored runs, by day and source.
pub const SCORED_RUNS: &str = "data/scored-runs";
/// One folder for every run of the materializer.
pub const REPORTS: &str = "reports/distillation";
/// Training rows.
pub const SFT_EXPORT: &str = "exports/sft/instruction_response.jsonl";
/// Scored runs that did not become training rows, and why.
pub const SFT_QUARANTINE: &str = "exports/quarantine/sft.jsonl";
/// Source rows that could not be read, and why.
pub const SKIPS: &str = "data/_kb/distillation_skips.jsonl";
/// Baselines that later audits are compared with.
pub const BASELINES: &str = "data/_kb/audit_baselines.jsonl";
/// One row for every replay.
pub const REPLAY_RUNS: &str = "data/_kb/replay_runs.jsonl";
/// Held by the materializer while it writes.
pub const LOCK: &str = "data/.materializer.lock";

/// `<tree>/YYYY/MM/DD/<source>.jsonl`, for [`EVIDENCE`] and [`SCORED_RUNS`].
#[must_use]
pub fn day_file(tree: &str, day: Day, source: &str) -> String {
    format!("{tree}/{}/{source}.jsonl", day.folder())
}
