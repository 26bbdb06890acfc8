//! queryd's process: configuration, socket, exit code. Called by itself with one certain
//! argument, it is the process that one query runs in.

fn main() -> std::process::ExitCode {
    if let Some(code) = lakehouse_query::worker::main() {
        return code;
    }
    lakehouse_common::run_service("queryd", |config| config.queryd.bind, queryd::run)
}
