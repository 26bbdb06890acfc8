use super::*;

fn changes(baseline: &[(&str, f64)], now: &[(&str, f64)]) -> Vec<(String, Option<f64>, bool)> {
    let map = |pairs: &[(&str, f64)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
    compare(&map(baseline), &map(now)).into_iter().map(|c| (c.metric, c.change_percent, c.flagged)).collect()
}

#[test]
fn a_change_past_twenty_percent_is_flagged() {
    let got = changes(
        &[
            ("same", 7.0),
            ("up", 100.0),
            ("edge", 100.0),
            ("down", 100.0),
            ("zero", 0.0),
            ("born", 0.0),
            ("gone", 1.0),
            ("minus", -10.0),
        ],
        &[
            ("same", 7.0),
            ("up", 120.5),
            ("edge", 120.0),
            ("down", 79.0),
            ("zero", 0.0),
            ("born", 3.0),
            ("new", 1.0),
            ("minus", -5.0),
        ],
    );
    let expected: [(&str, Option<f64>, bool); 9] = [
        ("born", None, true),
        ("down", Some(-21.0), true),
        ("edge", Some(20.0), false),
        ("gone", None, true),
        ("minus", Some(50.0), true),
        ("new", None, true),
        ("same", Some(0.0), false),
        ("up", Some(20.5), true),
        ("zero", Some(0.0), false),
    ];
    assert_eq!(got, expected.map(|(name, percent, flagged)| (name.to_owned(), percent, flagged)));
}
