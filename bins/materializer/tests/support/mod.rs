//! A root with the fixture logs, and the real program over it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/distill/tests/fixtures")
}

pub(crate) struct Root(TempDir);

impl Root {
    /// With nothing but an empty `data/_kb`.
    pub(crate) fn empty() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(root.path("data/_kb")).unwrap();
        root
    }

    /// With the twelve fixture logs.
    pub(crate) fn with_fixtures() -> Self {
        let root = Self::empty();
        for entry in fs::read_dir(fixtures().join("kb")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, root.path("data/_kb").join(path.file_name().unwrap())).unwrap();
        }
        root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_else(|e| panic!("{relative}: {e}"))
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        fs::write(self.path(relative), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_materializer"));
        command.arg("--root").arg(self.0.path()).args(args).env_remove("LAKEHOUSE_TOKEN");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs with `--json`, and expects success.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Every file below `folder`, with its bytes.
    pub(crate) fn tree(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(folder), folder, &mut files);
        files
    }

    /// The rows of a file of JSON lines.
    pub(crate) fn rows(&self, relative: &str) -> Vec<Value> {
        self.read(relative).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The rows of all files below `folder`, in the order of their paths.
    pub(crate) fn all_rows(&self, folder: &str) -> Vec<Value> {
        self.tree(folder).keys().flat_map(|path| self.rows(path)).collect()
    }
}

fn collect(folder: &Path, relative: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let relative = format!("{relative}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &relative, files);
        } else {
            files.insert(relative, fs::read(entry.path()).unwrap());
        }
    }
}

/// The sum of a count over all sources of a receipt.
#[allow(dead_code, reason = "not every test that includes this counts")]
pub(crate) fn total(receipt: &Value, count: &str) -> u64 {
    receipt["sources"].as_array().unwrap().iter().map(|source| source[count].as_u64().unwrap()).sum()
}
