//! catalogd's process: configuration, socket, exit code.

fn main() -> std::process::ExitCode {
    lakehouse_common::run_service("catalogd", |config| config.catalogd.bind, catalogd::run)
}
