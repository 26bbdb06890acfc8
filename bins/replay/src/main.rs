//! `replay`: answers a task from what earlier runs have left, and leaves a row about it.

fn main() -> std::process::ExitCode {
    replay::run(std::env::args_os())
}
