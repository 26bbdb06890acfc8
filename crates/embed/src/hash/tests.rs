use std::{fs, path::Path};

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn fixture(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn hash(dimension: usize) -> Hash {
    Hash::new(dimension).unwrap()
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// The golden file is made by another implementation of the recipe, in Python.
#[test]
fn every_bit_is_as_the_golden_file_has_it() {
    let golden: Value = serde_json::from_str(&fixture("hash-v1.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let (text, dimension) = (case["text"].as_str().unwrap(), case["dimension"].as_u64().unwrap());
        let vector = hash(usize::try_from(dimension).unwrap()).vector(text);
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, case["vector"].as_str().unwrap(), "{text:?} in {dimension} dimensions");
    }
}

#[test]
fn texts_that_share_words_are_nearer() {
    let hash = hash(384);
    let query = hash.vector("oil prices rise");
    let order = [
        "Oil prices rise again",
        "Prices of oil rose sharply on Tuesday",
        "Crude price: an oil forecast",
        "Football team wins the final",
    ];
    let products: Vec<f64> = order.iter().map(|text| product(&query, &hash.vector(text))).collect();
    assert!(products.is_sorted_by(|a, b| a > b), "{products:?}");
}

#[test]
fn spelling_does_not_matter_and_endings_matter_little() {
    let hash = hash(384);
    assert_eq!(hash.vector("Zürich, CAFÉ"), hash.vector("zu\u{308}rich cafe"));
    let near = product(&hash.vector("forecasts"), &hash.vector("forecasting"));
    let far = product(&hash.vector("forecasts"), &hash.vector("football"));
    assert!(near > 0.4 && far < 0.3, "{near} {far}");
    assert!(product(&hash.vector("日本語の新聞"), &hash.vector("日本語")) > 0.5);
}

#[test]
fn a_text_without_words_has_a_vector_of_its_own() {
    let hash = hash(384);
    let symbols: Vec<Vec<f32>> =
        ["!", "?!", "🎉", " ", "\n", "\u{200d}", "\0"].iter().map(|t| hash.vector(t)).collect();
    for (i, a) in symbols.iter().enumerate() {
        assert!((product(a, a) - 1.0).abs() < 1e-6, "{i}");
        for (j, b) in symbols.iter().enumerate().skip(i + 1) {
            assert_ne!(a, b, "{i} and {j}");
        }
    }
}

#[test]
fn an_empty_text_has_none_and_so_have_odd_dimensions() {
    assert!(hash(384).vector("").iter().all(|number| *number == 0.0));
    for bad in [0, 1, 15, 16_385, usize::MAX] {
        assert!(Hash::new(bad).unwrap_err().to_string().contains("dimension"), "{bad}");
    }
}

/// 100 headlines against 100 news in other words; 76 find theirs in the first place.
#[test]
fn the_right_news_comes_first_for_most_headlines() {
    let hash = hash(Hash::DIMENSION);
    let rows = fixture("headlines.tsv");
    let (titles, texts): (Vec<_>, Vec<_>) = rows
        .lines()
        .map(|row| row.split_once('\t').map(|(title, text)| (hash.vector(title), hash.vector(text))).unwrap())
        .unzip();
    let mut first = 0;
    for (i, title) in titles.iter().enumerate() {
        let own = product(title, &texts[i]);
        first += usize::from(texts.iter().all(|text| product(title, text) <= own));
    }
    assert!(first >= 75, "the right one came first for {first} of {}", titles.len());
}

#[tokio::test]
async fn the_provider_counts_words_also_on_the_blocking_thread() {
    let long = "word ".repeat(INLINE_BYTES / 5 + 1);
    let made = hash(64).embed(&["one two, three".to_owned(), "!".to_owned(), long.clone()]).await.unwrap();
    assert_eq!(made.iter().map(|made| made.tokens).collect::<Vec<_>>(), [3, 1, 13_108]);
    assert_eq!(made[2].vector, hash(64).vector(&long));
}

proptest! {
    #[test]
    fn any_text_has_a_finite_vector_of_unit_length(text in "\\PC{1,60}|[\\s\\S]{1,60}", dimension in 16_usize..600) {
        let vector = hash(dimension).vector(&text);
        prop_assert_eq!(vector.len(), dimension);
        prop_assert!(vector.iter().all(|number| number.is_finite()));
        prop_assert!((product(&vector, &vector) - 1.0).abs() < 1e-6);
        prop_assert_eq!(vector, hash(dimension).vector(&text));
    }

    #[test]
    fn the_order_of_words_does_not_matter(mut words in prop::collection::vec("[a-z]{1,9}", 1..12)) {
        let forward = hash(128).vector(&words.join(" "));
        words.reverse();
        prop_assert_eq!(forward, hash(128).vector(&words.join(" ")));
    }
}
