//! vectord's process: configuration, socket, exit code.

fn main() -> std::process::ExitCode {
    lakehouse_common::run_service("vectord", |config| config.vectord.bind, vectord::run)
}
