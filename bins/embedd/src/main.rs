//! embedd's process: configuration, socket, exit code.

fn main() -> std::process::ExitCode {
    lakehouse_common::run_service("embedd", |config| config.embedd.bind, embedd::run)
}
