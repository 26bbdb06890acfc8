use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jiff::Timestamp;
use lakehouse_common::config::Materializer;
use lakehouse_distill::{
    files::{self, DayFile, Lock},
    layout,
    source::Source,
    time::Instant,
};

use crate::{
    cli::Cli,
    error::{Error, Result},
    progress::Progress,
};

/// One run of a command: what it works on, and since when.
pub(crate) struct Job {
    pub(crate) root: PathBuf,
    /// Empty: all of them.
    sources: Vec<Source>,
    pub(crate) since: Option<Instant>,
    pub(crate) dry_run: bool,
    pub(crate) command: Vec<String>,
    pub(crate) started: Instant,
    pub(crate) progress: Progress,
}

impl Job {
    pub(crate) fn new(cli: &Cli, config: &Materializer, command: Vec<String>) -> Result<Self> {
        let root = config.root.clone();
        if !root.is_dir() {
            return Err(Error::Unusable(format!("{} is not a folder", root.display())));
        }
        Ok(Self {
            root,
            sources: cli.common.source.clone(),
            since: cli.common.since,
            dry_run: cli.common.dry_run,
            command,
            started: now()?,
            progress: Progress::new(!cli.common.json),
        })
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        files::under(&self.root, relative)
    }

    /// The sources that were asked for, in the order of their definition and each once.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let asked = |source: &Source| self.sources.is_empty() || self.sources.contains(source);
        Source::ALL.into_iter().filter(asked).collect()
    }

    /// The files of a tree of days that `--source` and `--since` leave.
    pub(crate) fn day_files(&self, tree: &str) -> Result<Vec<DayFile>> {
        let first = self.since.map(Instant::day);
        let files = self.all_day_files(tree)?;
        Ok(files.into_iter().filter(|file| first.is_none_or(|first| file.day >= first)).collect())
    }

    /// The files of a tree of days that `--source` leaves.
    pub(crate) fn all_day_files(&self, tree: &str) -> Result<Vec<DayFile>> {
        let named = |file: &DayFile| self.sources.is_empty() || self.sources.iter().any(|s| s.name() == file.source);
        Ok(files::day_files(&self.root, tree)?.into_iter().filter(named).collect())
    }

    /// Keeps every other materializer from writing, until it is dropped. A dry run writes nothing,
    /// not even the lock's file.
    pub(crate) fn lock(&self) -> Result<Option<Lock>> {
        if self.dry_run {
            return Ok(None);
        }
        let path = self.path(layout::LOCK);
        let waiting = || tracing::warn!("waiting for another materializer to finish");
        Ok(Some(files::lock(&path, waiting)?))
    }

    /// The commit that the root is at, if it is a checkout.
    pub(crate) fn git_sha(&self) -> Option<String> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.root).args(["rev-parse", "--verify", "--quiet", "HEAD"]);
        let output = git.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let sha = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && sha.len() >= 40).then_some(sha)
    }
}

/// The only look at the clock: for receipts and baselines, never for evidence.
pub(crate) fn now() -> Result<Instant> {
    Instant::from_timestamp(Timestamp::now()).map_err(|e| Error::Unusable(format!("read the clock: {e}")))
}

/// Whether `path` is a folder that can be worked in.
pub(crate) fn require_dir(path: &Path) -> Result<()> {
    if path.is_dir() { Ok(()) } else { Err(Error::Unusable(format!("{} is not a folder", path.display()))) }
}
