//! The real program against a gateway that does what it is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

#[path = "../../../tests/fake_http.rs"]
mod fake_http;
mod support;

use std::{
    fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use fake_http::{FakeHttp, Reply};
use serde_json::{Value, json};
use support::{ROWS, Root, chats, completion, models};

#[test]
fn a_good_answer_leaves_a_row_of_the_contract() {
    let root = Root::with_evidence();
    let gateway = models(|_| completion("Ask for the soil report; see reports/p1.md."));
    let output = root.run(&gateway.url, &["--task", "What is missing for the pool permit: a soil report?"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"Ask for the soil report; see reports/p1.md.\n");
    let row = root.only_row();
    let mut members: Vec<&String> = row.as_object().unwrap().keys().collect();
    members.sort();
    let expected = [
        "attempts",
        "escalated",
        "recorded_at",
        "response",
        "retrieval",
        "run_id",
        "schema",
        "task",
        "task_hash",
        "validation",
    ];
    assert_eq!(members, expected);
    assert_eq!(row["schema"], "replay_run.v1");
    assert_eq!(row["task_hash"], lakehouse_distill::sha256_hex(row["task"].as_str().unwrap().as_bytes()));
    assert_eq!(row["retrieval"]["method"], "bm25");
    assert_eq!(row["retrieval"]["used"], true);
    assert_eq!(row["retrieval"]["ids"].as_array().unwrap().len(), row["retrieval"]["scores"].as_array().unwrap().len());
    assert_eq!(row["validation"], json!({"passed": true, "reasons": []}));
    assert_eq!(row["escalated"], false);
    let attempt = &row["attempts"][0];
    assert_eq!((&attempt["model"], &attempt["ok"]), (&json!("small"), &json!(true)));
    assert_eq!((&attempt["prompt_tokens"], &attempt["completion_tokens"]), (&json!(11), &json!(7)));
    // What the model was told: success, failure, and the task.
    let body = chats(&gateway)[0].json();
    assert_eq!(body["temperature"], 0);
    let prompt = body["messages"][1]["content"].as_str().unwrap();
    assert!(prompt.contains("[good]") && prompt.contains("[bad]") && prompt.ends_with("a soil report?\n"), "{prompt}");
    assert!(prompt.find("went well") < prompt.find("[good]") && prompt.find("that failed") < prompt.find("[bad]"));
}

#[test]
fn a_bad_answer_is_written_down_and_a_better_model_asked_only_with_leave() {
    for (answer, reason) in [
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I'm not sure, it depends.", "hedge"),
        ("", "empty"),
        ("It is in src/made_up.rs.", "invented_path: src/made_up.rs"),
    ] {
        let root = Root::new();
        let gateway =
            models(move |model| completion(if model == "large" { "The lock is held too long." } else { answer }));
        assert_eq!(root.run(&gateway.url, &["--task", "Why is it slow?"]).status.code(), Some(1), "{answer}");
        let row = root.only_row();
        assert!(row["validation"]["reasons"][0].as_str().unwrap().starts_with(reason), "{row}");
        assert_eq!((&row["escalated"], &row["response"]), (&json!(false), &json!(answer)));
        assert_eq!(chats(&gateway).len(), 1);
        let output = root.run(&gateway.url, &["--task", "Why is it slow?", "--allow-escalation"]);
        assert_eq!(output.status.code(), Some(0));
        let row = &root.rows()[1];
        assert_eq!((&row["escalated"], &row["attempts"][1]["model"]), (&json!(true), &json!("large")));
        assert_eq!((&row["attempts"][0]["ok"], &row["validation"]["passed"]), (&json!(false), &json!(true)));
    }
}

#[test]
fn json_is_checked_against_a_schema() {
    let root = Root::new();
    let schema = root.path("schema.json");
    fs::write(
        &schema,
        r#"{"type": "object", "required": ["risk"], "properties": {"risk": {"enum": ["low", "high"]}}}"#,
    )
    .unwrap();
    let schema = schema.to_str().unwrap();
    let answers = ["```json\n{\"risk\": \"low\"}\n```", "{\"risk\": \"some\"}", "{\"risk\": \"low\",}"];
    let next = AtomicUsize::new(0);
    let gateway = models(move |_| completion(answers[next.fetch_add(1, Ordering::SeqCst)]));
    let args = ["--task", "How risky?", "--no-retrieval", "--schema", schema];
    let codes = answers.map(|_| root.run(&gateway.url, &args).status.code());
    assert_eq!(codes, [Some(0), Some(1), Some(1)]);
    let rows = root.rows();
    assert!(rows[1]["validation"]["reasons"][0].as_str().unwrap().starts_with("schema: /risk"), "{}", rows[1]);
    assert!(rows[2]["validation"]["reasons"][0].as_str().unwrap().starts_with("not_json"), "{}", rows[2]);
    assert_eq!(rows[0]["retrieval"], json!({"used": false, "method": "none", "ids": [], "scores": []}));
    fs::write(schema, r#"{"type": 7}"#).unwrap();
    assert_eq!(root.run(&gateway.url, &args).status.code(), Some(2));
    assert_eq!(root.rows().len(), 3, "nothing was tried");
}

#[test]
fn a_provider_without_an_answer_leaves_a_row_with_the_error() {
    let root = Root::new();
    let check = |gateway: &str, args: &[&str], error: &str| {
        let output = root.run(gateway, &[&["--task", "t", "--no-retrieval"], args].concat());
        assert_eq!(output.status.code(), Some(2));
        let row = root.rows().pop().unwrap();
        assert!(row["error"].as_str().unwrap().contains(error), "{row}");
        assert_eq!((&row["response"], &row["validation"]["passed"]), (&Value::Null, &json!(false)));
        assert_eq!(row["attempts"].as_array().unwrap().len(), 1 + usize::from(args.contains(&"--allow-escalation")));
    };
    check("http://127.0.0.1:9", &[], "can't be reached");
    let down = models(|_| Reply::Json(502, json!({"detail": "chat is down"})));
    check(&down.url, &["--allow-escalation"], "answered 502: chat is down");
    let stalling = models(|_| Reply::Stall);
    check(&stalling.url, &["--timeout-seconds", "1"], "no answer within 1 s");
    let broken = models(|_| Reply::Bytes(200, "application/json", b"{\"choices\": [".to_vec()));
    check(&broken.url, &[], "no JSON");
    let cut = models(|_| Reply::BreakOff);
    check(&cut.url, &[], "broke off");
    let choiceless = models(|_| Reply::Json(200, json!({"choices": []})));
    check(&choiceless.url, &[], "no choices");
    assert_eq!(root.rows().len(), 6);
}

#[test]
fn an_earlier_answer_stays_when_the_next_model_is_silent() {
    let root = Root::new();
    let gateway =
        models(|model| if model == "small" { completion("I don't know.") } else { Reply::Json(500, json!({})) });
    let output = root.run(&gateway.url, &["--task", "t", "--no-retrieval", "--allow-escalation"]);
    assert_eq!(output.status.code(), Some(1));
    let row = root.only_row();
    assert_eq!((&row["response"], row.get("error")), (&json!("I don't know."), None));
    assert_eq!(row["escalated"], true);
}

#[test]
fn a_stream_is_put_together() {
    let root = Root::new();
    let gateway = models(|_| {
        let events = "data: {\"choices\":[{\"delta\":{\"content\":\"All \"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"of it.\"}}]}\n\ndata: [DONE]\n\n";
        Reply::Bytes(200, "text/event-stream; charset=utf-8", events.as_bytes().to_vec())
    });
    assert!(root.run(&gateway.url, &["--task", "t", "--no-retrieval", "--stream"]).status.success());
    assert_eq!(root.only_row()["response"], "All of it.");
    assert_eq!(chats(&gateway)[0].json()["stream"], true);
}

#[test]
fn the_index_is_asked_first_and_words_do_where_it_is_not() {
    let memory = json!({"run_id": "from-index", "task_id": "t", "source": "audits", "category": "accepted", "text": "Remembered elsewhere."});
    let gateway = FakeHttp::start(move |asked| match asked.path.as_str() {
        "/v1/embed" => Reply::Json(200, json!({"model": "m", "dimension": 2, "vectors": [[1, 0]]})),
        "/v1/vectors/index/evidence/search" => {
            let results = json!([{"id": "x", "distance": 0.05, "metadata": {"foreign": 1}}, {"id": "from-index", "distance": 0.125, "metadata": memory}]);
            Reply::Json(200, json!({"results": results}))
        }
        "/v1/chat" => completion("Fine."),
        _ => Reply::Json(404, json!({})),
    });
    let root = Root::with_evidence();
    assert!(root.run(&gateway.url, &["--task", "soil report for the pool permit"]).status.success());
    let row = root.only_row();
    assert_eq!(row["retrieval"], json!({"used": true, "method": "vector", "ids": ["from-index"], "scores": [0.125]}));
    let prompt = chats(&gateway)[0].json()["messages"][1]["content"].as_str().unwrap().to_owned();
    assert!(prompt.contains("Remembered elsewhere.") && !prompt.contains("[good]"));
    // Local only: the same gateway's index is left alone.
    assert!(
        root.run(&gateway.url, &["--task", "soil report for the pool permit", "--local-only", "--k", "1"])
            .status
            .success()
    );
    let row = root.rows().pop().unwrap();
    assert_eq!(row["retrieval"]["method"], "bm25");
    let searches = gateway.asked().iter().filter(|asked| asked.path.ends_with("/search")).count();
    assert_eq!(searches, 1);
}

#[test]
fn a_dry_run_asks_no_model_and_writes_nothing() {
    let root = Root::with_evidence();
    let gateway = models(|_| completion("never"));
    let output = root.run(&gateway.url, &["--task", "soil report for the pool", "--dry-run"]);
    assert!(output.status.success());
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(shown["messages"][1]["content"].as_str().unwrap().contains("[good]"));
    assert!(chats(&gateway).is_empty() && !root.path(ROWS).exists());
}

#[test]
fn many_replays_at_once_leave_whole_rows() {
    let root = Root::with_evidence();
    let long = "All of it, at length. ".repeat(20_000);
    let gateway = models(move |_| completion(&long));
    let running: Vec<_> = (0..8)
        .map(|n| {
            let mut command = root.command(&gateway.url, &["--task", &format!("task {n}"), "--local-only"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    let mut tasks: Vec<String> = root.rows().iter().map(|row| row["task"].as_str().unwrap().to_owned()).collect();
    tasks.sort();
    assert_eq!(tasks, (0..8).map(|n| format!("task {n}")).collect::<Vec<_>>());
    assert!(root.rows().iter().all(|row| row["response"].as_str().unwrap().len() == 22 * 20_000));
}

#[test]
fn an_interrupted_replay_leaves_its_row() {
    let root = Root::new();
    let gateway = models(|_| Reply::Stall);
    for (n, signal) in ["-TERM", "-INT"].into_iter().enumerate() {
        let child =
            root.command(&gateway.url, &["--task", "t", "--no-retrieval"]).stderr(Stdio::null()).spawn().unwrap();
        gateway.wait_for("/v1/chat", n + 1);
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(root.rows().pop().unwrap()["error"], "interrupted");
    }
    assert_eq!(root.rows().len(), 2);
}

#[test]
fn a_row_that_can_t_be_written_is_not_lost() {
    let root = Root::new();
    fs::create_dir_all(root.path(ROWS)).unwrap();
    let gateway = models(|_| completion("Fine."));
    let output = root.run(&gateway.url, &["--task", "t", "--no-retrieval"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    let row: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(row["response"], "Fine.");
    assert!(told.contains("replay_runs.jsonl"), "{told}");
}

#[test]
fn settings_come_from_flags_before_environment_before_file() {
    let root = Root::new();
    let gateway = models(completion);
    let config = root.path("lakehouse.toml");
    let text = format!(
        "[gateway]\nbind = \"127.0.0.1:1\"\n[replay]\ngateway_url = \"{}\"\nmodels = [\"from-file\"]\n",
        gateway.url
    );
    fs::write(&config, text).unwrap();
    fs::write(root.path("task.txt"), "  a task\n").unwrap();
    let run = |env: Option<&str>, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
        command
            .arg("--root")
            .arg(root.folder())
            .arg("--config")
            .arg(&config)
            .arg("--task-file")
            .arg(root.path("task.txt"));
        command
            .args(["--no-retrieval"])
            .args(args)
            .env_remove("LAKEHOUSE_GATEWAY_URL")
            .env_remove("LAKEHOUSE_REPLAY_MODELS");
        if let Some(models) = env {
            command.env("LAKEHOUSE_REPLAY_MODELS", models);
        }
        let output = command.env("LAKEHOUSE_TOKEN", "s3cret").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(None, &[]), (Some(0), "from-file\n".to_owned()));
    assert_eq!(run(Some("from-env"), &[]), (Some(0), "from-env\n".to_owned()));
    assert_eq!(run(Some("from-env"), &["--models", "from-flag"]), (Some(0), "from-flag\n".to_owned()));
    assert!(root.rows().iter().all(|row| row["task"] == "a task"));
    assert!(chats(&gateway).iter().all(|asked| asked.authorization.as_deref() == Some("Bearer s3cret")));
    fs::write(&config, "[replay]\nmodel = \"typo\"\nk = 101\n[queryd]\nthreads = -1\n").unwrap();
    assert_eq!(run(None, &[]).0, Some(2));
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
        command
            .arg("--config")
            .arg(&config)
            .args(args)
            .env("LAKEHOUSE_REPLAY__TIMEOUT_SECONDS", "soon")
            .output()
            .unwrap()
    };
    // All at once, a line each, whatever was asked.
    for args in [&["--print-config"][..], &["--task", "t"]] {
        let output = command(args);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        for key in ["replay.model", "replay.k", "queryd.threads", "replay.timeout_seconds"] {
            assert!(told.lines().any(|line| line.starts_with(&format!("replay: config: {key}: "))), "{key}: {told}");
        }
    }
    fs::write(&config, "[replay]\nk = 7\n[auth]\ntoken = \"hunter2\"\n").unwrap();
    let mut shown = Command::new(env!("CARGO_BIN_EXE_replay"));
    shown.arg("--config").arg(&config).args(["--print-config", "--k", "9"]).env("LAKEHOUSE_REPLAY__K", "8");
    let shown = shown.output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && text.contains("[replay]") && text.contains("k = 9"), "{text}");
    assert!(text.contains("[materializer]") && !text.contains("hunter2"), "{text}");
    assert_eq!(root.run("http://127.0.0.1:9", &["--task", "  "]).status.code(), Some(2));
    assert_eq!(root.run("not a url", &["--task", "t"]).status.code(), Some(2));
    assert_eq!(root.rows().len(), 3, "what was never begun leaves no row");
}
