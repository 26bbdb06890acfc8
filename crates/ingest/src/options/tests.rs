use super::*;

fn options(all: &[(&str, &str)]) -> Result<Options, Error> {
    let mut options = Options::default();
    for (name, value) in all {
        options.set(name, value)?;
    }
    Ok(options)
}

#[test]
fn every_name_is_known_and_no_other() {
    let values = [";", "none", "true", "a:bigint", "skip", ",", "'", "-,none", "\\", "#", "3", "false"];
    for (name, value) in Options::NAMES.iter().zip(values) {
        assert!(options(&[(name, value)]).is_ok(), "{name}");
        assert_ne!(options(&[(name, value)]).unwrap().canonical(), Options::default().canonical(), "{name}");
    }
    for (name, value) in [
        ("delim", ","),
        ("delimiter", ""),
        ("delimiter", "a"),
        ("delimiter", "\""),
        ("delimiter", "\n"),
        ("delimiter", "é"),
        ("quote", "x"),
        ("header", "yes"),
        ("on_error", "ignore"),
        ("decimal", "none"),
        ("decimal", "'"),
        ("thousands", ""),
        ("thousands", "-"),
        ("null", "\"open"),
        ("escape", ""),
        ("escape", "x"),
        ("comment", "//"),
        ("comment", "'"),
        ("skip_lines", "-1"),
        ("skip_lines", "+1"),
        ("skip_lines", ""),
        ("skip_lines", "1000001"),
        ("trim", "1"),
    ] {
        let error = options(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused_whichever_comes_first() {
    for pair in [
        [("decimal", ","), ("thousands", ",")],
        [("delimiter", ";"), ("escape", ";")],
        [("delimiter", "|"), ("comment", "|")],
        [("escape", "#"), ("comment", "hash")],
        [("quote", "'"), ("escape", "\"")],
    ] {
        let [(first, _), (second, _)] = pair;
        for all in [pair, [pair[1], pair[0]]] {
            let error = options(&all).unwrap_err().to_string();
            assert!(error.contains(first) && error.contains(second), "{error}");
        }
    }
    assert!(options(&[("thousands", "point")]).unwrap_err().to_string().contains("`decimal`"), "the default counts");
    for fine in [
        &[("thousands", ",")][..],
        &[("decimal", ","), ("thousands", "."), ("delimiter", ",")],
        &[("quote", "'"), ("escape", "'")],
        &[("quote", "none"), ("escape", "\"")],
    ] {
        assert!(options(fine).is_ok(), "{fine:?}");
    }
}

#[test]
fn what_is_said_is_what_is_used() {
    let all = options(&[
        ("escape", "backslash"),
        ("comment", "hash"),
        ("skip_lines", "1000000"),
        ("trim", "true"),
        ("delimiter", "tab"),
    ])
    .unwrap();
    let wish = all.wish();
    assert_eq!((wish.escape, wish.comment, wish.delimiter), (Some(Some(b'\\')), Some(b'#'), Some(b'\t')));
    assert_eq!((wish.spaces, all.skip_lines()), (Some(Spaces::Around), Some(1_000_000)));
    assert_eq!(options(&[("trim", "false")]).unwrap().wish().spaces, Some(Spaces::Kept));
    assert_eq!(options(&[("escape", "\"")]).unwrap().escape(), Some(None));
    assert_eq!(options(&[("escape", "none")]).unwrap().escape(), Some(None));
    let default = Options::default();
    assert_eq!((default.wish().spaces, default.escape(), default.skip_lines()), (None, None, None));
    assert_eq!(default.notation(), Notation::default());
    let marks = |all| options(all).unwrap().notation();
    assert_eq!(marks(&[("decimal", ",")]), Notation::new(Some(Marks { decimal: b',', thousands: None }), None));
    assert_eq!(
        marks(&[("thousands", "space")]),
        Notation::new(Some(Marks { decimal: b'.', thousands: Some(b' ') }), None)
    );
    assert_eq!(marks(&[("null", "-")]), Notation::new(None, Some(&["-".to_owned()])));
}

#[test]
fn spellings_of_the_same_option_have_one_canonical_form() {
    let same =
        |a: &[(&str, &str)], b: &[(&str, &str)]| options(a).unwrap().canonical() == options(b).unwrap().canonical();
    assert!(same(&[("delimiter", "tab")], &[("delimiter", "\\t")]));
    assert!(same(&[("types", "a:int, b:text")], &[("types", "a:BIGINT,b:varchar")]));
    assert!(same(&[("on_error", "fail")], &[]));
    assert!(!same(&[("header", "true")], &[]), "said is not the same as guessed");
    assert!(!same(&[("quote", "none")], &[]));
    assert!(same(&[("null", "b,a,\"\",b")], &[("null", "a, \"b\"")]));
    assert!(same(&[("null", "NULL,null,NA,N/A")], &[]));
    assert!(!same(&[("null", "")], &[]));
    assert!(same(&[("escape", "\""), ("comment", "none")], &[("escape", "none")]));
    assert!(!same(&[("escape", "none")], &[]));
    assert!(same(&[("thousands", "space"), ("decimal", "comma")], &[("decimal", ","), ("thousands", " ")]));
    assert!(same(&[("thousands", "none")], &[]));
    assert!(same(&[("thousands", "_")], &[("thousands", "_"), ("decimal", ".")]));
    assert!(!same(&[("decimal", "point")], &[]), "said: a decimal comma elsewhere has no weight");
    assert!(same(&[("skip_lines", "03")], &[("skip_lines", "3")]));
}

#[test]
fn the_canonical_form_is_pinned() {
    // Whoever changes this changes every fingerprint: files would be stored anew.
    assert_eq!(
        Options::default().canonical(),
        "[\"lakehouse csv 3\",null,null,null,[],false,null,null,null,null,null,null,null]\n"
    );
}
