//! A root, the real program over it, and a gateway that does what it is told.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use lakehouse_distill::{Context, replay::ReplayRun, source::Source, transform_line};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake_http::{Asked, FakeHttp, Reply};

pub(crate) const ROWS: &str = "data/_kb/replay_runs.jsonl";

pub(crate) struct Root(TempDir);

impl Root {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With three runs to remember.
    pub(crate) fn with_evidence() -> Self {
        let root = Self::new();
        let rows = [
            json!({"run_id": "good", "permit_id": "P-1", "ts": "2026-04-21", "ok": true, "source_files": ["reports/p1.md"],
                "analysis": "The pool permit lacks a soil report; ask for it before digging."}),
            json!({"run_id": "bad", "permit_id": "P-2", "ts": "2026-04-21", "ok": false, "analysis": "The pool permit is fine without a soil report."}),
            json!({"run_id": "far", "permit_id": "P-3", "ts": "2026-04-21", "ok": true, "analysis": "Roof tiles need no crane."}),
        ];
        let lines: String = rows
            .iter()
            .map(|row| {
                let context = Context { line_offset: 0, part: 0, recorded_at: None };
                let record = transform_line(Source::ContractAnalyses, &row.to_string(), &context).unwrap();
                json!(record).to_string() + "\n"
            })
            .collect();
        let folder = root.path("data/evidence/2026/04/21");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("contract_analyses.jsonl"), lines).unwrap();
        root
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.0.path()
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    pub(crate) fn command(&self, gateway: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
        command.arg("--root").arg(self.0.path()).args(["--gateway", gateway, "--models", "small,large"]).args(args);
        for name in ["LAKEHOUSE_TOKEN", "LAKEHOUSE_GATEWAY_URL", "LAKEHOUSE_REPLAY_MODELS"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn run(&self, gateway: &str, args: &[&str]) -> Output {
        self.command(gateway, args).output().unwrap()
    }

    /// The rows as they lie there; each must be whole.
    pub(crate) fn rows(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path(ROWS)).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn only_row(&self) -> Value {
        let rows = self.rows();
        assert_eq!(rows.len(), 1);
        serde_json::from_value::<ReplayRun>(rows[0].clone()).unwrap();
        rows[0].clone()
    }
}

pub(crate) fn completion(text: &str) -> Reply {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 7});
    Reply::Json(200, json!({"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage}))
}

/// A gateway without an index, whose models answer by their names.
pub(crate) fn models(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> FakeHttp {
    FakeHttp::start(move |asked| match asked.path.as_str() {
        "/v1/chat" => answer(asked.json()["model"].as_str().unwrap()),
        _ => Reply::Json(503, json!({"detail": "not here"})),
    })
}

pub(crate) fn chats(gateway: &FakeHttp) -> Vec<Asked> {
    gateway.asked().into_iter().filter(|asked| asked.path == "/v1/chat").collect()
}
