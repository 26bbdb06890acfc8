use proptest::prelude::*;
use serde_json::json;

use super::*;

fn plain_rules(answer: &str) -> Vec<String> {
    judge(answer, &Rules::default())
}

#[test]
fn an_answer_will_do() {
    for answer in [
        "Restart the gateway last.",
        "The error reads \u{201c}permission denied\u{201d}; chmod the file.",
        "Cannot open file: the path is wrong. Fix it by passing --root.",
        &format!("{} The user wrote: I can't help it.", "All four steps follow. ".repeat(20)),
        "No.",
        "見出しを直す。",
    ] {
        assert_eq!(plain_rules(answer), Vec::<String>::new(), "{answer}");
    }
}

#[test]
fn nothing_refusals_and_hedges_will_not() {
    assert_eq!(plain_rules(" \n\t"), ["empty"]);
    assert_eq!(plain_rules("I\u{2019}m sorry, but I  can\u{2019}t\nhelp with that."), ["refusal: \"i can't help\""]);
    assert_eq!(plain_rules("As an AI language model, I have no hands."), ["refusal: \"as an ai\""]);
    assert_eq!(plain_rules("I'm unable to do so."), ["refusal: \"i'm unable to\""]);
    assert_eq!(plain_rules("Hm. I'm not sure, it might be the lock."), ["hedge: \"i'm not sure\""]);
    assert_eq!(plain_rules("Could you provide more details?"), ["hedge: \"could you provide more\""]);
}

#[test]
fn a_phrase_inside_of_a_word_is_none() {
    assert_eq!(plain_rules("Has an aim: the word \"has an ai\" is not a refusal."), Vec::<String>::new());
}

#[test]
fn required_texts_must_be_there_as_they_stand() {
    let must_contain = ["Cargo.toml".to_owned(), "b\"".to_owned()];
    let rules = Rules { must_contain: &must_contain, ..Rules::default() };
    assert_eq!(judge("edit cargo.toml", &rules), ["missing: \"Cargo.toml\"", "missing: \"b\\\"\""]);
    assert!(judge("Cargo.toml has b\"", &rules).is_empty());
}

#[test]
fn json_may_come_in_a_fence() {
    let rules = Rules { json: true, ..Rules::default() };
    for good in ["{\"a\":1}", " [1]\n", "```json\n{\"a\":1}\n```", "Here you are:\n```\n{\"a\": \"```\"}\n```\nDone."] {
        assert!(judge(good, &rules).is_empty(), "{good}: {:?}", judge(good, &rules));
    }
    let reasons = judge("{\"a\":1,}", &rules);
    assert!(reasons.len() == 1 && reasons[0].starts_with("not_json: "), "{reasons:?}");
    assert_eq!(extract_json("```json\n{\"a\":1}\n```"), Ok(json!({"a": 1})));
    assert_eq!(extract_json("[\"```a```\",\n\"```b```\"]"), Ok(json!(["```a```", "```b```"])));
}

#[test]
fn a_schema_is_checked_once_there_is_json() {
    let check = |value: &Value| if value.get("a").is_some() { vec![] } else { vec!["a is missing".to_owned()] };
    let rules = Rules { schema: Some(&check), ..Rules::default() };
    assert!(judge("{\"a\":1}", &rules).is_empty());
    assert_eq!(judge("{\"b\":1}", &rules), ["schema: a is missing"]);
    assert!(judge("no json", &rules)[0].starts_with("not_json"));
}

#[test]
fn invented_files_are_named() {
    let texts = ["Fix src/lib.rs, please.", "files: crates/a/src/b.rs"];
    let exists = |path: &str| path == "docs/on_disk.md";
    let rules = Rules { known: Some(Known { texts: &texts, exists: &exists }), ..Rules::default() };
    let answer = "See src/lib.rs:12, `crates/a/src/b.rs`, docs/on_disk.md and (src/made_up.rs).";
    assert_eq!(judge(answer, &rules), ["invented_path: src/made_up.rs"]);
}

proptest! {
    #[test]
    fn the_same_answer_is_always_judged_the_same(answer in "\\PC{0,80}") {
        let none = |_: &str| false;
        let rules = || Rules { json: true, known: Some(Known { texts: &[], exists: &none }), ..Rules::default() };
        prop_assert_eq!(judge(&answer, &rules()), judge(&answer, &rules()));
    }
}
