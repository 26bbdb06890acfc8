//! Any text as a statement: what passes the gate is one statement that reads, in DuckDB's own
//! judgement, and names no table but those it reports.
//! `scripts/soak/fuzz 60 query`.

#![no_main]

use std::cell::OnceCell;

use lakehouse_query::fuzzing::Gate;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GATE: OnceCell<Gate> = const { OnceCell::new() };
}

fuzz_target!(|sql: &str| {
    GATE.with(|gate| {
        let gate = gate.get_or_init(Gate::open);
        if let Some(verdict) = gate.inspect(sql) {
            assert!(verdict.reads_only, "passed as something that writes: {sql:?}");
            assert!(verdict.missing.is_none(), "reads {:?} without saying so: {sql:?}", verdict.missing);
        }
    });
});
