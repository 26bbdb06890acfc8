//! At its defaults an index finds .98 of the nearest, whatever the vectors are like and however many
//! are asked for. `tests/bench/recall --kinds` prints the table at larger sizes.

#[path = "../examples/recall/data.rs"]
#[expect(dead_code, reason = "shared with the benchmark, which reads files too")]
mod data;
#[path = "../examples/recall/kinds.rs"]
mod kinds;

const PROMISED: f64 = 0.98;

#[test]
fn defaults_find_what_is_promised_on_every_kind_of_vectors() {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    let mut failures = Vec::new();
    for kind in kinds::all(5_000, 40) {
        for row in kind.measure(&threads, &kinds::DEPTHS) {
            let line = format!(
                "{} ({}), {}, k = {}: recall {:.4}, {:.0} us, exact {:.2}",
                kind.name,
                kind.distance,
                row.state,
                row.k,
                row.recall,
                1e6 * row.seconds,
                row.exact
            );
            println!("{line}");
            if row.recall < PROMISED || (row.exact == 1.0 && row.recall < 1.0) {
                failures.push(line);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
