//! The real all-MiniLM-L6-v2 against sentence-transformers' own vectors of 100 headlines.
//!
//! `scripts/with-minilm` installs the model and sets `LAKEHOUSE_TEST_MINILM`; without it this says
//! SKIPPED.

#![expect(clippy::unwrap_used, reason = "what can't be read fails the test")]

use std::{fs, io::Write as _, path::Path, time::Duration};

use lakehouse_embed::{Local, Options, Provider as _, Service};

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn headlines() -> Vec<String> {
    let rows = String::from_utf8(fixture("headlines.tsv")).unwrap();
    rows.lines().map(|row| row.split('\t').next().unwrap().to_owned()).collect()
}

fn reference() -> Vec<Vec<f32>> {
    let bytes = fixture("minilm-reference.f32");
    let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect();
    numbers.chunks_exact(384).map(<[f32]>::to_vec).collect()
}

fn cosine_distance(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[tokio::test]
async fn minilm_gives_what_sentence_transformers_gives() {
    let Some(directory) = std::env::var_os("LAKEHOUSE_TEST_MINILM").filter(|directory| !directory.is_empty()) else {
        // Past the capture of the test runner: who reads the log shall see it.
        let _ = writeln!(std::io::stderr(), "SKIPPED: the MiniLM test (run it through scripts/with-minilm)");
        return;
    };
    let provider = Local::load(Path::new(&directory)).unwrap();
    assert_eq!(provider.dimension(), Some(384));
    let options = Options {
        model: "all-MiniLM-L6-v2".into(),
        aliases: Vec::new(),
        dimension: None,
        batch_size: 32,
        max_concurrent_batches: 4,
        max_texts: 1000,
        max_text_bytes: 10_000,
        cache_bytes: 0,
        timeout: Duration::from_secs(120),
    };
    let service = Service::new(std::sync::Arc::new(provider), options).unwrap();
    let (headlines, reference) = (headlines(), reference());
    assert_eq!((headlines.len(), reference.len()), (100, 100));
    let made = service.embed(headlines.clone()).await.unwrap();
    for ((made, reference), headline) in made.iter().zip(&reference).zip(&headlines) {
        let distance = cosine_distance(&made.vector, reference);
        assert!(distance < 1e-4, "{headline}: {distance}");
        let length = made.vector.iter().map(|number| number * number).sum::<f32>();
        assert!((length - 1.0).abs() < 1e-5, "{headline}: {length}");
    }
}
