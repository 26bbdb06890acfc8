//! Any text as a model's answer: JSON is found where there is some, paths are pieces of the text, and the same
//! answer is always judged the same.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use lakehouse_distill::replay::{Known, Rules, cited_paths, extract_json, judge};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn rules<'a>(must_contain: &'a [String], exists: &'a dyn Fn(&str) -> bool) -> Rules<'a> {
    Rules { must_contain, json: true, schema: None, known: Some(Known { texts: &[], exists }) }
}

fuzz_target!(|text: &str| {
    let (answer, must) = text.split_once('\0').unwrap_or((text, ""));
    if let Ok(value) = serde_json::from_str::<Value>(answer) {
        assert_eq!(extract_json(answer).as_ref(), Ok(&value), "{answer}");
        for fenced in [format!("```json\n{answer}\n```"), format!("Here it is:\n\n```\n{answer}```\nThat's all.")] {
            assert_eq!(extract_json(&fenced).as_ref(), Ok(&value), "{fenced}");
        }
    }

    let paths = cited_paths(answer);
    for path in &paths {
        assert!(answer.contains(path) && path.contains('/') && path.contains('.'), "{path:?}");
        assert!(!path.contains(char::is_whitespace) && !path.contains("://"), "{path:?}");
        assert!(Known { texts: &[path], exists: &|_| false }.has(path));
    }

    let must = [must.to_owned()];
    let (kind, strict) = (judge(answer, &rules(&must, &|_| true)), judge(answer, &rules(&must, &|_| false)));
    assert_eq!(judge(answer, &rules(&must, &|_| false)), strict);
    if answer.trim().is_empty() {
        assert_eq!(kind, ["empty"]);
        return;
    }
    let has = |reasons: &[String], start: &str| reasons.iter().any(|reason| reason.starts_with(start));
    assert_eq!(has(&kind, "missing:"), !answer.contains(&must[0]));
    assert_eq!(has(&kind, "not_json:"), extract_json(answer).is_err());
    assert_eq!(strict.len() - kind.len(), paths.len());
    assert!(!has(&kind, "invented_path:"));
});
