use std::collections::BTreeSet;

use super::Memory;
use crate::score::Category;

/// What a model is given beside its task, within a budget of tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    /// What went in, best first.
    pub entries: Vec<Entry>,
    /// What the answer will be checked for.
    pub steps: Vec<String>,
    text: String,
}

/// One run in a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The run.
    pub memory: Memory,
    /// How near it is to the task: by BM25 higher is nearer, by vectors lower is.
    pub score: f64,
}

/// Accepted runs that are added when the nearest ones hold none.
const EXTRA_SUCCESSES: usize = 2;

impl Bundle {
    /// Makes a bundle of the first `k` of `ranked`. When none of these went well, the best two
    /// further down that did are added: a model learns more from what worked. Each run gets an
    /// equal share of `budget` tokens, and what it leaves over goes to those after it.
    #[must_use]
    pub fn new(ranked: Vec<Entry>, steps: Vec<String>, k: usize, budget: usize) -> Self {
        let mut seen = BTreeSet::new();
        let mut chosen = Vec::new();
        let mut rest = Vec::new();
        for entry in ranked {
            if !seen.insert(entry.memory.run_id.clone()) {
                continue;
            }
            if chosen.len() < k { chosen.push(entry) } else { rest.push(entry) }
        }
        if k > 0 && !chosen.iter().any(|entry| went_well(entry.memory.category)) {
            chosen.extend(rest.into_iter().filter(|e| went_well(e.memory.category)).take(EXTRA_SUCCESSES));
        }
        Self::write(chosen, steps, budget)
    }

    fn write(chosen: Vec<Entry>, steps: Vec<String>, budget: usize) -> Self {
        let mut bundle = Self { steps, ..Self::default() };
        let mut parts: [Vec<String>; 3] = Default::default();
        // The headings and the steps come first: without them the rest is only noise.
        let tail = bundle.steps_text();
        let headings: usize = HEADINGS.iter().map(|h| estimate_tokens(h) + 1).sum();
        let mut left = budget.saturating_sub(estimate_tokens(&tail) + headings);
        let mut waiting = chosen.len();
        for entry in chosen {
            let share = left / waiting.max(1);
            waiting -= 1;
            let Some(text) = entry_text(&entry.memory, share) else { continue };
            left = left.saturating_sub(estimate_tokens(&text) + 1);
            parts[section(entry.memory.category)].push(text);
            bundle.entries.push(entry);
        }
        for (heading, part) in HEADINGS.iter().zip(&parts) {
            if !part.is_empty() {
                bundle.text.push_str(heading);
                bundle.text.push_str(&part.concat());
                bundle.text.push('\n');
            }
        }
        if estimate_tokens(&bundle.text) + estimate_tokens(&tail) <= budget {
            bundle.text.push_str(&tail);
        }
        bundle
    }

    fn steps_text(&self) -> String {
        let mut text = String::new();
        if !self.steps.is_empty() {
            text.push_str("## Your answer will be checked\n");
            for step in &self.steps {
                text.push_str(&format!("- {step}\n"));
            }
        }
        text
    }

    /// The text that goes into the prompt; empty if there is nothing to say.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The ids of the runs that went in.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.memory.run_id.clone()).collect()
    }

    /// Their scores, in the same order, six digits kept.
    #[must_use]
    pub fn scores(&self) -> Vec<f64> {
        self.entries.iter().map(|entry| (entry.score * 1e6).round() / 1e6).collect()
    }
}

const HEADINGS: [&str; 3] = [
    "## Earlier runs that went well\n",
    "## Earlier runs that failed: do not repeat these\n",
    "## Related notes that nobody has judged\n",
];

const fn section(category: Category) -> usize {
    match category {
        Category::Accepted | Category::PartiallyAccepted => 0,
        Category::Rejected => 1,
        Category::NeedsHumanReview => 2,
    }
}

const fn went_well(category: Category) -> bool {
    matches!(category, Category::Accepted | Category::PartiallyAccepted)
}

/// One run within `share` tokens; none if that is too little to say anything.
fn entry_text(memory: &Memory, share: usize) -> Option<String> {
    const LEAST_TOKENS: usize = 8;
    let mut head = format!("[{}] task {}", memory.run_id, memory.task_id);
    if !memory.source_files.is_empty() {
        head.push_str(&format!("; files: {}", memory.source_files.join(", ")));
    }
    if !memory.reasons.is_empty() {
        head.push_str(&format!("; {}", memory.reasons.join(", ")));
    }
    let head = format!("{}\n", truncate_to_tokens(&one_line(&head), share / 2));
    // One for rounding, one for the mark and the new line.
    let room = share.saturating_sub(estimate_tokens(&head) + 2);
    if room < LEAST_TOKENS {
        return None;
    }
    Some(format!("{head}> {}\n", truncate_to_tokens(&one_line(&memory.text), room)))
}

/// Text of others stays inside its own line, behind something of ours, so that it can't pass for a heading
/// or a step.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// About how many tokens a text has: four ASCII characters make one, any other character is one
/// itself. High rather than low for every tokenizer in use, since what counts is that it fits.
#[must_use]
pub fn estimate_tokens(text: &str) -> usize {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let other = text.chars().filter(|c| !c.is_ascii()).count();
    ascii.div_ceil(4) + other
}

/// The beginning of `text` that has at most `tokens` tokens.
#[must_use]
pub fn truncate_to_tokens(text: &str, tokens: usize) -> &str {
    let (mut ascii, mut other) = (0_usize, 0_usize);
    for (at, c) in text.char_indices() {
        if c.is_ascii() {
            ascii += 1;
        } else {
            other += 1;
        }
        if ascii.div_ceil(4) + other > tokens {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
