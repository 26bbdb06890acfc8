//! Other runtimes append to the files that the program appends to, and either may die at any byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

#[allow(dead_code, reason = "not every test that includes this needs the fixtures")]
mod support;

use std::{
    fs::{self, File},
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

use lakehouse_distill::files::append_line;
use serde_json::Value;
use support::{Root, total};

const LOG: &str = "data/_kb/scrum_reviews.jsonl";
const DAY: &str = "data/evidence/2026/04/19/scrum_reviews.jsonl";
const SKIPS: &str = "data/_kb/distillation_skips.jsonl";

fn review(n: usize) -> String {
    format!("{{\"file\":\"a.rs\",\"reviewed_at\":\"2026-04-19T10:00:00Z\",\"suggestions_preview\":\"No. {n}\"}}\n")
}

fn open(root: &Root, path: &str) -> File {
    File::options().append(true).open(root.path(path)).unwrap()
}

#[test]
fn what_others_append_to_files_that_they_have_open_stays() {
    let root = Root::empty();
    root.write(LOG, &format!("{}not json\n", review(0)));
    root.json(&[]);
    let (mut day, mut skips) = (open(&root, DAY), open(&root, SKIPS));
    day.write_all(b"{\"of\":\"others, before\"}\n").unwrap();
    open(&root, LOG).write_all(format!("{}nor this\n", review(1)).as_bytes()).unwrap();
    assert_eq!(total(&root.json(&[]), "written"), 1);
    day.write_all(b"{\"of\":\"others, after\"}\n").unwrap();
    skips.write_all(b"{\"of\":\"others\"}\n").unwrap();
    let evidence = root.read(DAY);
    assert_eq!(evidence.lines().count(), 4);
    assert!(evidence.contains("others, before") && evidence.ends_with("{\"of\":\"others, after\"}\n"), "{evidence}");
    assert_eq!(root.rows(SKIPS).len(), 3);
    assert_eq!(total(&root.json(&[]), "written"), 0);
}

#[test]
fn no_line_is_lost_while_both_append() {
    const RUNS: usize = 20;
    let root = Root::empty();
    root.write(LOG, &review(0));
    root.json(&[]);
    let is_over = AtomicBool::new(false);
    let (with_lock, without_lock) = std::thread::scope(|scope| {
        let with_lock = scope.spawn(|| {
            let mut n = 0;
            while !is_over.load(Ordering::SeqCst) {
                append_line(&root.path(DAY), &format!("{{\"with\":{n}}}")).unwrap();
                n += 1;
            }
            n
        });
        let without_lock = scope.spawn(|| {
            let (mut file, mut n) = (open(&root, DAY), 0);
            while !is_over.load(Ordering::SeqCst) {
                file.write_all(format!("{{\"without\":{n}}}\n").as_bytes()).unwrap();
                file.sync_all().unwrap();
                n += 1;
            }
            n
        });
        for n in 1..=RUNS {
            open(&root, LOG).write_all(review(n).as_bytes()).unwrap();
            assert_eq!(total(&root.json(&[]), "written"), 1);
        }
        is_over.store(true, Ordering::SeqCst);
        (with_lock.join().unwrap(), without_lock.join().unwrap())
    });
    // A line that crosses a page is seen half-written for a moment: whoever ends it then leaves an empty
    // line behind it, which readers pass over.
    let text = root.read(DAY);
    let lines = text.lines().filter(|line| !line.is_empty());
    let rows: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| rows.iter().filter(|row| row.get(name).is_some()).count();
    assert_eq!((of("with"), of("without"), of("run_id")), (with_lock, without_lock, RUNS + 1));
}

#[test]
fn a_run_that_died_at_any_byte_is_completed() {
    let root = Root::empty();
    root.write(LOG, &format!("{}not json\n{}nor this\n", review(0), review(1)));
    root.json(&[]);
    let clean = root.tree("data");
    for path in [DAY, SKIPS] {
        let bytes = &clean[path];
        let first_end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
        let near_an_end = |cut: usize| cut.abs_diff(first_end) < 3 || cut + 3 > bytes.len();
        for cut in (0..bytes.len()).filter(|&cut| cut % 61 == 0 || near_an_end(cut)) {
            fs::write(root.path(path), &bytes[..cut]).unwrap();
            let shown = root.json(&["--dry-run"])["outputs"].clone();
            let receipt = root.json(&[]);
            assert_eq!(root.tree("data"), clean, "{path} cut at {cut}");
            assert_eq!(receipt["outputs"], shown, "{path} cut at {cut}");
            assert!(root.json(&[])["outputs"].as_array().unwrap().is_empty());
        }
    }
}
