use proptest::prelude::*;

use super::*;
use crate::{
    drift::Confusion,
    json::{Json, Object},
    score::Category,
};

/// Made by numpy; how is said in `make_reference.py` beside it. Read by this crate's own reader,
/// since `serde_json` may round a double's last bit, which matters on the edge of a bucket.
const REFERENCE: &str = include_str!("../../tests/fixtures/psi/reference.json");

fn numbers(case: &Object<'_>, name: &str) -> Vec<f64> {
    let Some(Json::Array(items)) = case.get(name) else { panic!("no {name}") };
    items.iter().map(|item| item.as_f64().unwrap()).collect()
}

fn items<'a>(of: &'a Object<'a>, name: &str) -> &'a [Json<'a>] {
    let Some(Json::Array(items)) = of.get(name) else { panic!("no {name}") };
    items
}

#[test]
fn the_figures_are_those_of_numpy() {
    let reference = Json::parse(REFERENCE).unwrap();
    let cases = items(reference.as_object().unwrap(), "cases");
    assert!(cases.len() >= 10);
    for case in cases {
        let case = case.as_object().unwrap();
        let name = case.get("name").unwrap();
        for result in items(case, "results") {
            let result = result.as_object().unwrap();
            let buckets = result.get("buckets").unwrap().as_f64().unwrap() as usize;
            let got = psi(&numbers(case, "baseline"), &numbers(case, "current"), buckets);
            let expected = result.get("psi").unwrap().as_f64().unwrap();
            assert!((got.psi - expected).abs() < 1e-9, "{name}, {buckets} buckets: {} is not {expected}", got.psi);
            let counts = |f: fn(&Bucket) -> u64| got.buckets.iter().map(|b| f(b) as f64).collect::<Vec<_>>();
            assert_eq!(counts(|b| b.baseline), numbers(result, "baseline_counts"), "{name}, {buckets}");
            assert_eq!(counts(|b| b.current), numbers(result, "current_counts"), "{name}, {buckets}");
            for (bucket, part) in got.buckets.iter().zip(numbers(result, "parts")) {
                assert!((bucket.psi - part).abs() < 1e-9, "{name}, {buckets}");
            }
        }
    }
}

/// A sample that leans on no random numbers.
fn grid(shift: f64) -> Vec<f64> {
    // The sum of three uniform grids: bell-shaped, deviation 5.
    let side = || (0..10).map(|i| f64::from(i) - 4.5);
    side().flat_map(|a| side().flat_map(move |b| side().map(move |c| a + b + c + shift))).collect()
}

#[test]
fn levels_follow_the_shift() {
    let deviation = (3.0 * 8.25_f64).sqrt();
    let level = |shift: f64| psi(&grid(0.0), &grid(shift * deviation), 10).level;
    assert_eq!(level(0.0), Level::Stable);
    assert_ne!(level(0.5), Level::Stable);
    assert_eq!(level(2.0), Level::Major);
}

#[test]
fn nothing_to_compare_is_stable() {
    let one = [3.0; 5];
    for (old, new) in [(&[][..], &[][..]), (&[1.0][..], &[][..]), (&[][..], &[1.0][..]), (&one[..], &one[..])] {
        let psi = psi(old, new, 10);
        assert_eq!((psi.psi, psi.level), (0.0, Level::Stable));
        assert!(psi.buckets.is_empty());
    }
    // Two values a hair's breadth apart have no ten buckets between them.
    assert_eq!(psi(&[1.0], &[1.0 + f64::EPSILON], 10).level, Level::Stable);
    // All of one value, then all of another: that has moved.
    assert_eq!(psi(&[1.0; 9], &[2.0; 9], 10).level, Level::Major);
}

#[test]
fn odd_numbers_are_counted_and_left_out() {
    let psi = psi(&[1.0, f64::NAN, 2.0, f64::INFINITY], &[1.0, 2.0, f64::NEG_INFINITY], 10);
    assert_eq!((psi.baseline_count, psi.current_count, psi.not_finite), (2, 2, 3));
    assert_eq!(psi.level, Level::Stable);
    assert!(super::psi(&[f64::MAX, f64::MIN], &[0.0, f64::MAX], 4).psi.is_finite());
}

#[test]
fn the_number_of_buckets_is_clamped() {
    let (old, new) = (grid(0.0), grid(1.0));
    assert_eq!(psi(&old, &new, 0).buckets.len(), MIN_BUCKETS);
    assert_eq!(psi(&old, &new, 1).buckets.len(), MIN_BUCKETS);
    assert_eq!(psi(&old, &new, usize::MAX).buckets.len(), MAX_BUCKETS);
}

proptest! {
    #[test]
    fn it_is_never_negative_nor_nan_and_conserves_counts(
        old in prop::collection::vec(prop_oneof![-1e6..1e6_f64, -3.0..3.0_f64, Just(0.0), any::<f64>()], 0..60),
        new in prop::collection::vec(prop_oneof![-1e6..1e6_f64, -3.0..3.0_f64, Just(0.0), any::<f64>()], 0..60),
        buckets in 0_usize..50,
    ) {
        let result = psi(&old, &new, buckets);
        prop_assert!(result.psi >= 0.0 && result.psi.is_finite());
        prop_assert!(result.buckets.iter().all(|b| b.psi >= 0.0));
        if !result.buckets.is_empty() {
            prop_assert_eq!(result.buckets.iter().map(|b| b.baseline).sum::<u64>(), result.baseline_count);
            prop_assert_eq!(result.buckets.iter().map(|b| b.current).sum::<u64>(), result.current_count);
        }
        let finite = |sample: &[f64]| sample.iter().filter(|x| x.is_finite()).count() as u64;
        prop_assert_eq!(result.baseline_count, finite(&old));
        prop_assert_eq!(result.current_count, finite(&new));
        prop_assert_eq!(psi(&new, &old, buckets).level, result.level);
    }
}

#[test]
fn a_confusion_table_counts_every_cell() {
    let mut table = Confusion::default();
    assert_eq!(table.drift(), 0.0);
    table.add(Category::Accepted, Category::Accepted);
    table.add(Category::Accepted, Category::Rejected);
    table.add(Category::Rejected, Category::Rejected);
    table.add(Category::Rejected, Category::Rejected);
    assert_eq!((table.total(), table.changed(), table.drift()), (4, 1, 0.25));
    let json = serde_json::to_value(&table).unwrap();
    assert_eq!(json["accepted"]["rejected"], 1);
    assert_eq!(json["needs_human_review"]["accepted"], 0);
}
