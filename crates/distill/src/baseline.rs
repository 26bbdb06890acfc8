//! Audit baselines: what the numbers were, and how far they have moved since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// The schema of a baseline row.
pub const SCHEMA: &str = "audit_baseline.v1";

/// A change beyond this is flagged, percent.
pub const FLAG_PERCENT: f64 = 20.0;

/// One row of `data/_kb/audit_baselines.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it was taken.
    pub recorded_at: Instant,
    /// The commit of the checkout, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_sha: Option<String>,
    /// What was counted.
    pub metrics: BTreeMap<String, f64>,
}

/// One row of the drift table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What was counted.
    pub metric: String,
    /// Then; none for a metric that the baseline did not have.
    pub baseline: Option<f64>,
    /// Now; none for a metric that is gone.
    pub now: Option<f64>,
    /// By how much it moved, percent of the baseline; none where there is nothing to divide by.
    pub change_percent: Option<f64>,
    /// Past [`FLAG_PERCENT`], new from zero, or gone.
    pub flagged: bool,
}

/// Compares `now` with `baseline`, metric by metric in the order of their names.
#[must_use]
pub fn compare(baseline: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>) -> Vec<Change> {
    let names: std::collections::BTreeSet<&String> = baseline.keys().chain(now.keys()).collect();
    names.into_iter().map(|name| change(name, baseline.get(name).copied(), now.get(name).copied())).collect()
}

fn change(metric: &str, baseline: Option<f64>, now: Option<f64>) -> Change {
    let (change_percent, flagged) = match (baseline, now) {
        (Some(then), Some(now)) if then == now => (Some(0.0), false),
        (Some(then), Some(now)) if then != 0.0 => {
            let percent = (now - then) / then.abs() * 100.0;
            (Some(percent), percent.abs() > FLAG_PERCENT)
        }
        _ => (None, true),
    };
    Change { metric: metric.to_owned(), baseline, now, change_percent, flagged }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
