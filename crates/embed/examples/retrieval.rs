//! How well, and how fast, a provider embeds: for each headline, how far up its own text comes
//! among all texts.
//!
//! ```text
//! cargo run -p lakehouse-embed --example retrieval -- FILE [MODEL_DIRECTORY]
//! ```
//!
//! FILE has a headline, a tab and a text on each line; without one it is the 100 of the tests.
//! MODEL_DIRECTORY adds the provider `local` (see `scripts/with-minilm`).

#![expect(clippy::unwrap_used, reason = "a tool for developers: what fails ends it")]

use std::{fs, path::Path, sync::Arc, time::Duration, time::Instant};

use lakehouse_embed::{Hash, Local, Options, Provider, Service};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/headlines.tsv").to_owned();
    let file = fs::read_to_string(arguments.next().unwrap_or(sample)).unwrap();
    let (titles, texts): (Vec<String>, Vec<String>) =
        file.lines().map(|row| row.split_once('\t').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()).unzip();
    println!("{} headlines", titles.len());
    for dimension in [128, 384, 1024] {
        let hash = Arc::new(Hash::new(dimension).unwrap());
        measure(&format!("hash, {dimension} dimensions"), hash, &titles, &texts).await;
    }
    if let Some(directory) = arguments.next() {
        let local = Arc::new(Local::load(Path::new(&directory)).unwrap());
        measure("local", local, &titles, &texts).await;
    }
}

async fn measure(name: &str, provider: Arc<dyn Provider>, titles: &[String], texts: &[String]) {
    let options = Options {
        model: name.to_owned(),
        aliases: Vec::new(),
        dimension: None,
        batch_size: 32,
        max_concurrent_batches: 4,
        max_texts: usize::MAX,
        max_text_bytes: usize::MAX,
        cache_bytes: 0,
        timeout: Duration::from_secs(600),
    };
    let service = Service::new(provider, options).unwrap();
    let began = Instant::now();
    let titles = service.embed(titles.to_vec()).await.unwrap();
    let title_time = began.elapsed();
    let texts = service.embed(texts.to_vec()).await.unwrap();
    let text_time = began.elapsed() - title_time;

    let (mut first, mut ten, mut reciprocal) = (0, 0, 0.0);
    for (i, title) in titles.iter().enumerate() {
        let near = |text: &[f32]| title.vector.iter().zip(text).map(|(a, b)| a * b).sum::<f32>();
        let own = near(&texts[i].vector);
        let rank = texts.iter().filter(|text| near(&text.vector) > own).count();
        first += usize::from(rank == 0);
        ten += usize::from(rank < 10);
        reciprocal += 1.0 / (rank as f64 + 1.0);
    }
    let share = |count: usize| count as f64 / titles.len() as f64;
    println!(
        "{name:24} first {:.3}  in ten {:.3}  mean reciprocal rank {:.3}  headlines/s {:8.0}  texts/s {:8.0}",
        share(first),
        share(ten),
        reciprocal / titles.len() as f64,
        titles.len() as f64 / title_time.as_secs_f64(),
        texts.len() as f64 / text_time.as_secs_f64(),
    );
}
