//! Any JSON as a parsed tree: the walk gives a verdict, and never panics or overflows its stack.
//! `scripts/soak/fuzz 60 query`.

#![no_main]

use std::cell::OnceCell;

use lakehouse_query::fuzzing::Gate;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static GATE: OnceCell<Gate> = const { OnceCell::new() };
}

fuzz_target!(|tree: &str| GATE.with(|gate| gate.get_or_init(Gate::open).walk(tree)));
