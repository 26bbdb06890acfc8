use serde::{Deserialize, Serialize};

use super::Bundle;
use crate::time::Instant;

/// The schema of a row.
pub const SCHEMA: &str = "replay_run.v1";

/// One row of `data/_kb/replay_runs.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayRun {
    /// [`SCHEMA`].
    pub schema: String,
    /// This replay.
    pub run_id: String,
    /// When it ended.
    pub recorded_at: Instant,
    /// What was asked.
    pub task: String,
    /// SHA-256 (hex) of the task's bytes.
    pub task_hash: String,
    /// What it was given to remember.
    pub retrieval: Retrieval,
    /// The models that were tried, in order.
    pub attempts: Vec<Attempt>,
    /// What the last answer was found to be.
    pub validation: Validation,
    /// Whether more than one model was tried.
    pub escalated: bool,
    /// The last answer, good or bad, without what was only thought; null if there was none.
    pub response: Option<String>,
    /// Why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a replay was given to remember.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// Whether anything was looked for.
    pub used: bool,
    /// How.
    pub method: Method,
    /// The runs that went into the prompt.
    pub ids: Vec<String>,
    /// Their scores: for `vector` a distance, lower is nearer; for `bm25` higher is nearer.
    pub scores: Vec<f64>,
}

/// How memories were looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By the index `evidence` of a lakehouse.
    Vector,
    /// By the words of the local evidence.
    Bm25,
    /// Not at all.
    None,
}

/// One call of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The model.
    pub model: String,
    /// Whether its answer will do.
    pub ok: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// How long the call took, milliseconds.
    pub latency_ms: u64,
    /// As the provider counted; null if it did not.
    pub prompt_tokens: Option<u64>,
    /// As the provider counted; null if it did not.
    pub completion_tokens: Option<u64>,
    /// Why the answer ended, in the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// What the model thought before it spoke. It is no part of the answer, and nothing judges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
}

/// What an answer was found to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Whether it will do.
    pub passed: bool,
    /// Why not.
    pub reasons: Vec<String>,
}

impl Retrieval {
    /// What `bundle` holds.
    #[must_use]
    pub fn of(bundle: &Bundle, method: Method) -> Self {
        Self { used: method != Method::None, method, ids: bundle.ids(), scores: bundle.scores() }
    }
}

impl ReplayRun {
    /// A row for `task` before anything was tried.
    #[must_use]
    pub fn new(run_id: String, now: Instant, task: &str) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            run_id,
            recorded_at: now,
            task: task.to_owned(),
            task_hash: crate::sha256_hex(task.as_bytes()),
            retrieval: Retrieval { used: false, method: Method::None, ids: Vec::new(), scores: Vec::new() },
            attempts: Vec::new(),
            validation: Validation { passed: false, reasons: vec!["no answer".to_owned()] },
            escalated: false,
            response: None,
            error: None,
        }
    }

    /// A model answered, and `reasons` say what is wrong with the answer.
    pub fn answered(&mut self, attempt: Attempt, answer: String) {
        self.validation = Validation { passed: attempt.ok, reasons: attempt.reasons.clone() };
        self.response = Some(answer);
        self.error = None;
        self.push(attempt);
    }

    /// A model could not be asked, or gave no answer. An earlier model's answer stays.
    pub fn failed(&mut self, attempt: Attempt, error: String) {
        if self.response.is_none() {
            self.validation = Validation { passed: false, reasons: attempt.reasons.clone() };
            self.error = Some(error);
        }
        self.push(attempt);
    }

    fn push(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        self.escalated = self.attempts.len() > 1;
    }
}
