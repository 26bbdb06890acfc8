//! ingestd's process: configuration, socket, exit code.

fn main() -> std::process::ExitCode {
    lakehouse_common::run_service("ingestd", |config| config.ingestd.bind, ingestd::run)
}
