use proptest::prelude::*;

use super::*;

fn said(text: &str, expected: &str, thoughts: Option<&str>) {
    let expected = Said { text: expected.to_owned(), thoughts: thoughts.map(str::to_owned) };
    assert_eq!(without_thoughts(text), expected, "{text}");
}

#[test]
fn thoughts_between_tags_are_taken_out() {
    for text in [
        "<think>a</think>b",
        " \n<think>\na\n</think>\n\nb\n",
        "<Thinking>a</thinking>b",
        "<reasoning>a</reasoning>b",
        "a</think>b",
        "a\n</think>\n\nb",
    ] {
        said(text, "b", Some("a"));
    }
    said("<think></think>b", "b", None);
    said("<think>a</think><think>b</think>c", "c", Some("a\n\nb"));
    said("One. <think>a</think>Two.", "One. Two.", Some("a"));
    said("One.<think>a</think> Two. <think>b</think><think>c</think>Three.", "One. Two. Three.", Some("a\n\nb\n\nc"));
    said("One.\n<think>a</think>\nTwo.", "One.\n\nTwo.", Some("a"));
    said("<think>a <think> b</think> c", "c", Some("a <think> b"));
    said("a</think>b <think>c</think>d", "b d", Some("a\n\nc"));
    said("<think>a `</think>` b", "` b", Some("a `"));
}

#[test]
fn a_thought_without_an_end_goes_to_the_end() {
    said("<think>a", "", Some("a"));
    said("<think>a</thinking>", "", Some("a</thinking>"));
    said("Well.\n<think>a\nb", "Well.", Some("a\nb"));
    said("<think>a</think><think>b", "", Some("a\n\nb"));
}

#[test]
fn tags_that_an_answer_is_about_stay() {
    for text in [
        "Set it to three.",
        "Wrap it in <b> and </b>.",
        "Put `<think>` before it and `</think>` behind it.",
        "```xml\n<think>a</think>\n```\n",
        "{\"prompt\": \"<think>a</think>\", \"n\": 1}",
        "[\" <think> \"]",
        "The tag <think> opens it.",
        "x<think>a</think>",
        "a < b and <thinker>",
        "<think",
        "",
        "  kept as it is\n",
    ] {
        said(text, text, None);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_a_second_look_finds_little(text in "(<think>|</think>|`|\n| |a|<|\u{e9}|```){0,16}") {
        let once = without_thoughts(&text);
        if once.thoughts.is_none() && once.text == text {
            prop_assert_eq!(without_thoughts(&once.text), once.clone());
        }
        let size = once.text.len() + once.thoughts.as_ref().map_or(0, String::len);
        prop_assert!(size <= text.len() + 16);
    }
}
