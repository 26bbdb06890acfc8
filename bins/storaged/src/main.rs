//! storaged's process: configuration, socket, exit code.

fn main() -> std::process::ExitCode {
    lakehouse_common::run_service("storaged", |config| config.storaged.bind, storaged::run)
}
