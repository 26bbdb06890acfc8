//! `materializer`: agent logs become evidence, scored runs and training rows.

fn main() -> std::process::ExitCode {
    materializer::run(std::env::args_os())
}
