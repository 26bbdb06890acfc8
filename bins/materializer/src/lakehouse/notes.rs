use std::collections::BTreeMap;

use lakehouse_distill::{
    files::{self, At as _, Writer},
    layout,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{error::Result, job::Job};

const SCHEMA: &str = "lakehouse_sync.v1";

/// How far the evidence has been embedded, for every lakehouse that it goes to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    #[serde(default)]
    schema: String,
    #[serde(default)]
    targets: BTreeMap<String, Target>,
}

/// One lakehouse.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    /// The model that made the vectors: those of another one can't be compared with them.
    #[serde(default)]
    pub(super) model: String,
    /// How much of each evidence file is in the index.
    #[serde(default)]
    pub(super) files: BTreeMap<String, Prefix>,
}

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prefix {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Notes {
    fn place() -> String {
        format!("{}/lakehouse-sync.json", layout::REPORTS)
    }

    /// What was noted; nothing if the notes are lost or spoiled: then all is embedded again.
    pub(super) fn read(job: &Job) -> Result<Self> {
        let path = job.path(&Self::place());
        let notes = match files::open_if_there(&path)? {
            Some(file) => std::io::read_to_string(file).at("read", &path)?,
            None => String::new(),
        };
        let notes: Option<Self> = serde_json::from_str(&notes).ok();
        Ok(notes.filter(|notes| notes.schema == SCHEMA).unwrap_or_default())
    }

    pub(super) fn target(&mut self, url: &str) -> &mut Target {
        self.targets.entry(url.to_owned()).or_default()
    }

    pub(super) fn write(&mut self, job: &Job) -> Result<()> {
        SCHEMA.clone_into(&mut self.schema);
        let path = job.path(&Self::place());
        let mut writer = Writer::create(path.with_extension("json.new"))?;
        writer.write(format!("{:#}\n", json!(self)).as_bytes())?;
        writer.publish(&path)?;
        Ok(())
    }
}
