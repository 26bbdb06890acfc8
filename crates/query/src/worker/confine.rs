//! Locks a worker's process in before it sees any SQL: what passes the gate by mistake still
//! finds no file to read but the cache's, none to write but its own spill, no network, and a
//! hard limit of memory.

use std::{fs, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::protocol::{Confinement, Setup};

/// The rules are written for this version of Landlock; an older kernel enforces what it knows.
const LANDLOCK: ABI = ABI::V6;

/// DuckDB reads how much memory and how many processors its control group may use whenever an
/// instance is opened, and where these are there but can't be read, it ends the process. They say
/// nothing about any data.
const CGROUP: [&str; 2] = ["/proc/self/cgroup", "/sys/fs/cgroup"];

/// Locks the calling process in. To be called while it has one thread.
///
/// # Errors
/// What could not be done, in one line; no Landlock is none, be it the kernel that has none or a
/// filter of system calls that holds it back.
pub(super) fn apply(setup: &Setup) -> Result<Confinement, String> {
    // Paths in statements and plans are relative to this, so that none of them says where the
    // cache lies.
    std::env::set_current_dir(&setup.cache_dir).map_err(|error| format!("enter cache directory: {error}"))?;
    ignore_stop_signals();
    // If memory runs out after all, a worker goes before any service does. It may be forbidden.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    limit(Resource::Core, 0)?;
    // DuckDB's limit does not count all it allocates; this one does, and makes malloc fail.
    limit(Resource::Data, setup.limit_bytes)?;
    landlock(&setup.cache_dir, &setup.spill_dir).map_err(|error| format!("apply Landlock rules: {error}"))
}

/// A terminal or a service manager sends these to the whole group. The service is who decides:
/// it lets its queries end, and then the socket closes.
fn ignore_stop_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: SIG_IGN is no handler, so no code of ours runs in a signal's context.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

fn limit(resource: Resource, bytes: u64) -> Result<(), String> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(resource, limit).map_err(|error| format!("set limit of {resource:?}: {error}"))
}

fn landlock(cache_dir: &Path, spill_dir: &Path) -> Result<Confinement, RulesetError> {
    let open = |path: &Path| PathFd::new(path);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    if let Ok(cache) = open(cache_dir) {
        rules = rules.add_rule(PathBeneath::new(cache, AccessFs::ReadFile | AccessFs::ReadDir))?;
    }
    if let Ok(spill) = open(spill_dir) {
        let files = AccessFs::from_all(LANDLOCK) & !AccessFs::Execute;
        rules = rules.add_rule(PathBeneath::new(spill, files))?;
    }
    for limits in CGROUP {
        if let Ok(limits) = PathFd::new(limits) {
            rules = rules.add_rule(PathBeneath::new(limits, AccessFs::ReadFile))?;
        }
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Full,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::LimitsOnly,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Error, ErrorKind},
        net::{TcpListener, TcpStream},
        process::Command,
    };

    use tempfile::TempDir;

    use super::*;

    fn denied<T>(outcome: Result<T, Error>) -> bool {
        outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    /// Landlock binds the thread that asks for it, so a test can have one to lose.
    #[test]
    fn who_is_locked_in_reads_the_cache_writes_its_spill_and_nothing_else() {
        let root = TempDir::new().unwrap();
        let [cache, spill, outside] = ["cache", "spill", "outside"].map(|name| root.path().join(name));
        for directory in [&cache, &spill, &outside] {
            fs::create_dir(directory).unwrap();
            fs::write(directory.join("file"), "content").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let locked_in = std::thread::spawn(move || {
            let confinement = landlock(&cache, &spill).unwrap();
            if confinement == Confinement::LimitsOnly {
                eprintln!("SKIPPED: no Landlock: this kernel has none, or a filter of system calls holds it back");
                return;
            }
            assert_eq!(fs::read_to_string(cache.join("file")).unwrap(), "content");
            assert!(denied(fs::write(cache.join("file"), "poison")) && denied(fs::write(cache.join("new"), "")));
            assert!(denied(fs::remove_file(cache.join("file"))) && denied(fs::create_dir(cache.join("d"))));
            fs::write(spill.join("new"), "working set").unwrap();
            fs::remove_file(spill.join("new")).unwrap();
            assert!(denied(fs::read(outside.join("file"))) && denied(fs::write(outside.join("new"), "")));
            assert!(denied(fs::read("/etc/passwd")) && denied(fs::read_dir("/etc")));
            assert!(denied(fs::rename(spill.join("file"), outside.join("moved"))));
            assert!(denied(Command::new("/bin/true").status()));
            if confinement == Confinement::Full {
                assert!(denied(TcpStream::connect(address)) && denied(TcpListener::bind("127.0.0.1:0")));
            }
        });
        locked_in.join().unwrap();
        // Nobody else is.
        assert!(fs::read("/etc/passwd").is_ok());
    }
}
