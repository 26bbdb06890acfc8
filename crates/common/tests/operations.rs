//! The systemd units and the build script, as far as they can be checked without running them:
//! they agree with the configuration and with what the services need.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lakehouse_common::config::{Config, Sources};

const SERVICES: [&str; 7] = ["gateway", "storaged", "catalogd", "ingestd", "queryd", "vectord", "embedd"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn unit(service: &str) -> String {
    fs::read_to_string(root().join(format!("config/systemd/lakehouse-{service}.service"))).unwrap()
}

/// The values of a key in one section of a unit, in their order.
fn values<'a>(unit: &'a str, section: &str, key: &str) -> Vec<&'a str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in unit.lines() {
        if line.starts_with('[') {
            inside = line == format!("[{section}]");
        } else if let Some((name, value)) = line.split_once('=')
            && inside
            && name == key
        {
            found.push(value);
        }
    }
    found
}

fn value<'a>(unit: &'a str, section: &str, key: &str) -> &'a str {
    let [value] = values(unit, section, key)[..] else { panic!("[{section}] {key}= is not there once") };
    value
}

#[test]
fn a_unit_is_started_again_for_as_long_as_it_takes() {
    for service in SERVICES {
        let unit = unit(service);
        assert_eq!(value(&unit, "Unit", "StartLimitIntervalSec"), "0", "{service}");
        assert_eq!(value(&unit, "Service", "Restart"), "always", "{service}");
        // bootstrap.rs exits with 2 for a configuration that can't be used.
        assert_eq!(value(&unit, "Service", "RestartPreventExitStatus"), "2", "{service}");
    }
    // Those that may call something outside of this machine.
    for service in ["storaged", "embedd", "gateway"] {
        let unit = unit(service);
        for key in ["Wants", "After"] {
            let named = value(&unit, "Unit", key).split(' ').any(|unit| unit == "network-online.target");
            assert!(named, "{service}: {key}");
        }
    }
}

#[test]
fn a_unit_is_killed_only_after_it_had_its_time_to_stop() {
    let patience = Config::default().limits.shutdown_seconds;
    for service in SERVICES {
        // vectord saves its indexes once no request is left.
        let steps = if service == "vectord" { 2 } else { 1 };
        let allowed: u64 = value(&unit(service), "Service", "TimeoutStopSec").parse().unwrap();
        assert!(allowed > steps * patience, "{service}: {allowed} s");
    }
}

#[test]
fn queryds_unit_lets_workers_lock_themselves_in_and_die_alone() {
    let unit = unit("queryd");
    let calls: Vec<&str> =
        values(&unit, "Service", "SystemCallFilter").into_iter().flat_map(|line| line.split(' ')).collect();
    for call in ["@system-service", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        assert!(calls.contains(&call), "{call}");
    }
    assert_eq!(value(&unit, "Service", "OOMPolicy"), "continue");

    let config = Config::default().queryd;
    let most = config.memory_bytes + config.memory_bytes / 4 + (config.max_concurrent as u64) * (256 << 20);
    let gib: u64 = value(&unit, "Service", "MemoryMax").strip_suffix('G').unwrap().parse().unwrap();
    assert!(gib << 30 >= most + (1 << 30), "no room for queryd beside its workers");
}

/// Those in comments too: they are there to be taken out of them.
#[test]
fn what_a_unit_sets_are_keys_and_each_credential_is_the_services_own() {
    let dir = tempfile::tempdir().unwrap();
    for service in SERVICES {
        let unit = unit(service).replace("\n#LoadCredential=", "\nLoadCredential=").replace("\n#Env", "\nEnv");
        let mut sources = Sources::default();
        for setting in values(&unit, "Service", "Environment").into_iter().flat_map(|line| line.split(' ')) {
            let (variable, text) = setting.split_once('=').unwrap();
            sources.env.push((variable.to_owned(), text.replace("%d", dir.path().to_str().unwrap())));
        }
        let credentials = values(&unit, "Service", "LoadCredential");
        let credentials: Vec<PathBuf> =
            credentials.iter().map(|line| dir.path().join(line.split_once(':').unwrap().0)).collect();
        for path in &credentials {
            fs::write(path, "hunter2").unwrap();
        }
        let config = Config::load_for(service, &sources);
        config.unwrap_or_else(|error| panic!("{service}: {error}"));
        // Each is asked for: none can be missing.
        for path in &credentials {
            fs::remove_file(path).unwrap();
        }
        let missing = Config::load_for(service, &sources).unwrap_err().problems;
        assert_eq!(missing.len(), credentials.len(), "{service}: {missing:?}");
    }
    let unit = unit("storaged");
    assert!(unit.contains("LAKEHOUSE_S3__SECRET_ACCESS_KEY_FILE=%d/"), "no example for S3's keys");
}

/// `scripts/build` with a `cargo` that leaves what the duckdb crate's own download leaves.
#[test]
fn a_release_build_without_npm_has_its_libduckdb() {
    let tools = tempfile::tempdir().unwrap();
    let target = tools.path().join("target");
    let fake = "#!/bin/sh\nmkdir -p \"$CARGO_TARGET_DIR/release/deps\"\necho lib > \"$CARGO_TARGET_DIR/release/deps/libduckdb.so\"\n";
    let missing = "#!/bin/sh\nexit 1\n";
    for (tool, text) in [("cargo", fake), ("cc", fake), ("npm", missing)] {
        let path = tools.path().join(tool);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let mut build = Command::new(root().join("scripts/build"));
    build.arg("--release").env("PATH", path).env("CARGO_TARGET_DIR", &target);
    let built = build.env_remove("DUCKDB_LIB_DIR").env_remove("LAKEHOUSE_DUCKDB").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(String::from_utf8_lossy(&built.stdout).trim(), target.join("release").to_str().unwrap());
    assert_eq!(fs::read_to_string(target.join("lib/libduckdb.so")).unwrap(), "lib\n");
}
