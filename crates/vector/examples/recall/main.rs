//! Recall and speed of the index, of its exact scan, and of hnsw_rs's own search, side by side.
//!
//! ```text
//! tests/bench/recall                      # 20,000 generated vectors
//! tests/bench/recall --data a.f32 --queries b.f32
//! tests/bench/recall --kinds              # what the defaults find on every kind of vectors
//! ```
//!
//! A `.f32` file is a little-endian u32 of rows, a u32 of numbers a row, and the numbers.
//! Recall is counted against a brute-force search of this program's own, in plain arithmetic.

mod data;
mod kinds;
mod reference;

use std::{process::ExitCode, sync::Arc, time::Instant};

use data::Set;
use lakehouse_types::vector::{AddItem, Distance};
use lakehouse_vector::{Change, Index, Params, Query, Tuning};
use reference::Reference;

const K: usize = 10;
/// Each measurement is taken so often, programs alternating; the median counts.
const ROUNDS: usize = 3;
const TARGET: f64 = 0.98;

struct Options {
    data: Option<String>,
    queries: Option<String>,
    count: usize,
    dimension: usize,
    seed: u64,
    threads: usize,
    distance: Distance,
    ours_only: bool,
    kinds: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        data: None,
        queries: None,
        count: 20_000,
        dimension: 384,
        seed: 1,
        threads: 2,
        distance: Distance::Cosine,
        ours_only: false,
        kinds: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let switch = match name.as_str() {
            "--ours-only" => Some(&mut options.ours_only),
            "--kinds" => Some(&mut options.kinds),
            _ => None,
        };
        if let Some(switch) = switch {
            *switch = true;
            continue;
        }
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--data" => options.data = Some(value),
            "--queries" => options.queries = Some(value),
            "--count" => options.count = number()? as usize,
            "--dimension" => options.dimension = number()? as usize,
            "--seed" => options.seed = number()?,
            "--threads" => options.threads = number()? as usize,
            "--distance" => {
                options.distance =
                    serde_json::from_value(value.clone().into()).map_err(|error| format!("{name}: {error}"))?;
            }
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}

/// What one program reached with one `ef`.
struct Point {
    ef: usize,
    recall: f64,
    rate: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("recall: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let options = options()?;
    if options.kinds {
        return print_kinds(&options);
    }
    let (items, queries) = match (&options.data, &options.queries) {
        (Some(data), Some(queries)) => (Set::read(data)?, Set::read(queries)?),
        (None, None) => data::generate(options.count, 500, options.dimension, options.seed),
        _ => return Err("--data and --queries go together".to_owned()),
    };
    println!(
        "{} vectors, {} queries, {} numbers each, {}",
        items.len(),
        queries.len(),
        items.dimension,
        options.distance
    );
    let truth = data::nearest(&items, &queries, K, options.distance);

    let started = Instant::now();
    let index = build(&items, &options)?;
    let ours = started.elapsed().as_secs_f64();
    println!("build, {} threads: index {:.0} vectors/s", options.threads, items.len() as f64 / ours);
    let bytes = index.stats().bytes as f64 / items.len() as f64;
    println!("memory: {bytes:.0} bytes a vector, {:.0} beside its numbers", bytes - 4.0 * items.dimension as f64);

    let reference = if options.ours_only || options.distance == Distance::Dot {
        None
    } else {
        let started = Instant::now();
        let reference = Reference::build(&items, &Params::new(1, options.distance), options.threads, options.distance);
        let theirs = started.elapsed().as_secs_f64();
        println!(
            "build, {} threads: hnsw_rs {:.0} vectors/s ({:.2} of the index's rate)",
            options.threads,
            items.len() as f64 / theirs,
            ours / theirs
        );
        Some(reference)
    };

    let exact = measure(&queries, &truth, 0, &|query| ours_search(&index, query, None));
    println!("\n{:<12}{:>6}{:>10}{:>12}", "", "ef", "recall@10", "queries/s");
    print("exact scan", &exact);
    let default = index.params().ef_search;
    let mut curves = (Vec::new(), Vec::new());
    for ef in [16, 32, 48, default, 96, 128, 192, 256] {
        let mut points = Vec::new();
        for _ in 0..ROUNDS {
            let ours = measure(&queries, &truth, ef, &|query| ours_search(&index, query, Some(ef)));
            let theirs = reference.as_ref().map(|r| measure(&queries, &truth, ef, &|query| r.search(query, K, ef)));
            points.push((ours, theirs));
        }
        let (ours, theirs): (Vec<_>, Vec<_>) = points.into_iter().unzip();
        let ours = median(ours);
        print(if ef == default { "index (def.)" } else { "index" }, &ours);
        curves.0.push(ours);
        if let Some(theirs) = theirs.into_iter().collect::<Option<Vec<_>>>().map(median) {
            print("hnsw_rs", &theirs);
            curves.1.push(theirs);
        }
    }
    if let (Some(ours), Some(theirs)) = (rate_at(&curves.0, TARGET), rate_at(&curves.1, TARGET)) {
        println!("\nat recall {TARGET}: index {ours:.0}/s, hnsw_rs {theirs:.0}/s: {:.1} times", ours / theirs);
    } else if let Some(ours) = rate_at(&curves.0, TARGET) {
        println!("\nat recall {TARGET}: index {ours:.0}/s");
    }
    Ok(())
}

/// What an index finds at its defaults, for every kind of vectors, state of the index, and `k`; with
/// `--data`, on those vectors alone.
fn print_kinds(options: &Options) -> Result<(), String> {
    let threads =
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().map_err(|error| error.to_string())?;
    let kinds = match (&options.data, &options.queries) {
        (Some(data), Some(queries)) => vec![kinds::Kind {
            name: "from a file",
            distance: options.distance,
            items: Set::read(data)?,
            queries: Set::read(queries)?,
        }],
        _ => kinds::all(options.count, 100),
    };
    println!("{:<36}{:<18}{:>6}{:>10}{:>8}{:>12}", "vectors", "state", "k", "recall", "exact", "us/search");
    for kind in kinds {
        let name = format!("{}, {}, {}", kind.items.len(), kind.name, kind.distance);
        for row in kind.measure(&threads, &kinds::DEPTHS) {
            let (recall, micros) = (row.recall, 1e6 * row.seconds);
            println!("{name:<36}{:<18}{:>6}{recall:>10.4}{:>8.2}{micros:>12.0}", row.state, row.k, row.exact);
        }
    }
    Ok(())
}

fn build(items: &Set, options: &Options) -> Result<Arc<Index>, String> {
    let threads =
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().map_err(|error| error.to_string())?;
    let params = Params::new(items.dimension, options.distance);
    let index = Arc::new(Index::new(params, Tuning::default()));
    for (start, batch) in (0..items.len()).step_by(256).map(|start| (start, start..items.len().min(start + 256))) {
        let batch = batch.map(|n| AddItem { id: format!("item-{n}"), vector: items.row(n).to_vec(), metadata: None });
        let (batch, _) = params.check_batch(batch.collect()).map_err(|error| format!("batch at {start}: {error}"))?;
        index.apply(&Change::Add(batch));
    }
    while index.maintain(&threads) {}
    Ok(index)
}

fn ours_search(index: &Index, query: &[f32], ef: Option<usize>) -> Vec<usize> {
    let query = Query { vector: query, k: K, ef, exact: ef.is_none(), ..Query::default() };
    let answer = index.search(&query).unwrap_or_default();
    answer.results.iter().filter_map(|hit| hit.id.strip_prefix("item-")?.parse().ok()).collect()
}

fn measure(queries: &Set, truth: &[Vec<usize>], ef: usize, search: &dyn Fn(&[f32]) -> Vec<usize>) -> Point {
    let started = Instant::now();
    let found: Vec<Vec<usize>> = (0..queries.len()).map(|n| search(queries.row(n))).collect();
    let rate = queries.len() as f64 / started.elapsed().as_secs_f64();
    let hits: usize =
        found.iter().zip(truth).map(|(found, truth)| truth.iter().filter(|t| found.contains(t)).count()).sum();
    Point { ef, recall: hits as f64 / (K * queries.len()) as f64, rate }
}

fn median(mut points: Vec<Point>) -> Point {
    points.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    points.swap_remove(points.len() / 2)
}

fn print(name: &str, point: &Point) {
    println!("{name:<12}{:>6}{:>10.4}{:>12.0}", point.ef, point.recall, point.rate);
}

/// The rate at a recall, between the two measured points around it.
fn rate_at(points: &[Point], recall: f64) -> Option<f64> {
    let after = points.iter().position(|point| point.recall >= recall)?;
    let Some(before) = after.checked_sub(1).map(|before| &points[before]) else { return Some(points[after].rate) };
    let after = &points[after];
    let share = (recall - before.recall) / (after.recall - before.recall).max(f64::EPSILON);
    Some((before.rate.ln() * (1.0 - share) + after.rate.ln() * share).exp())
}
