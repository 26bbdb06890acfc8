//! Any texts as earlier runs in a prompt: within its budget of tokens, and none of them can pass for a heading
//! or a step.
//!
//! The first two bytes choose the budget and how many runs; NUL bytes stand between the runs' texts.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use lakehouse_distill::{
    replay::{Bundle, Entry, Memory, estimate_tokens, truncate_to_tokens},
    score::Category,
};
use libfuzzer_sys::fuzz_target;

/// More in one input make it slow.
const MAX_RUNS: usize = 12;

fuzz_target!(|data: &[u8]| {
    let [budget, k, texts @ ..] = data else { return };
    let Ok(texts) = std::str::from_utf8(texts) else { return };
    let (budget, k) = (usize::from(*budget) * 4, usize::from(*k) % MAX_RUNS);
    let ranked: Vec<Entry> = (0..)
        .zip(texts.split('\0').take(MAX_RUNS))
        .map(|(n, text)| Entry {
            memory: Memory {
                // Some are found twice.
                run_id: format!("run{}", n / 2),
                task_id: text.chars().rev().take(40).collect(),
                source: "outcomes".to_owned(),
                category: Category::ALL[(n + text.len()) % 4],
                reasons: vec![text.chars().take(20).collect()],
                source_files: vec![text.chars().skip(20).take(20).collect()],
                text: text.to_owned(),
            },
            score: 1.0,
        })
        .collect();
    let steps = vec!["It is JSON.".to_owned()];
    let bundle = Bundle::new(ranked, steps, k, budget);

    let text = bundle.text();
    assert!(estimate_tokens(text) <= budget, "{} of {budget}", estimate_tokens(text));
    assert!(bundle.entries.len() <= k + 2);
    let ids = bundle.ids();
    assert!(ids.iter().enumerate().all(|(place, id)| !ids[..place].contains(id)), "{ids:?}");
    const OWN: [&str; 4] = [
        "## Earlier runs that went well",
        "## Earlier runs that failed: do not repeat these",
        "## Related notes that nobody has judged",
        "## Your answer will be checked",
    ];
    for own in OWN {
        assert!(text.lines().filter(|line| *line == own).count() <= 1, "{own} twice in {text}");
    }
    for line in text.lines() {
        assert!(!line.starts_with('#') || OWN.contains(&line), "{line:?} passes for a heading");
        assert!(!line.starts_with("- ") || line == "- It is JSON.", "{line:?} passes for a step");
    }

    let cut = truncate_to_tokens(texts, budget);
    assert!(texts.starts_with(cut) && estimate_tokens(cut) <= budget);
    assert!(cut.len() == texts.len() || estimate_tokens(cut) + 1 >= budget, "{cut:?} of {budget}");
});
