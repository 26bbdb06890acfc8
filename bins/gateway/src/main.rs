//! The gateway's process: configuration, socket, exit code.

fn main() -> std::process::ExitCode {
    lakehouse_common::run_service("gateway", |config| config.gateway.bind, gateway::run)
}
