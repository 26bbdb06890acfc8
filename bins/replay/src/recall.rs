use std::{io::BufReader, path::Path, time::Duration};

use lakehouse_distill::{
    evidence::EvidenceRecord,
    files::{self, At as _, LineReader},
    layout,
    replay::{Entry, Memory, Method, rank},
};
use serde_json::{Value, json};

use crate::{
    Error,
    config::Settings,
    gateway::{CallError, Gateway},
};

/// More than asked for, so that there are runs that went well among them even if the nearest did not.
const CANDIDATES_PER_K: usize = 4;
/// A lakehouse that does not find something in this time is as good as none.
const SEARCH: Duration = Duration::from_secs(20);
/// Local evidence beyond this many records is too old to be ranked; the newest come first.
const MOST_RECORDS: usize = 20_000;

/// What was remembered, best first, and how.
pub(crate) struct Recalled {
    pub(crate) entries: Vec<Entry>,
    pub(crate) method: Method,
    /// What people should know about it.
    pub(crate) note: Option<String>,
}

/// Looks for runs that have to do with the task: in the lakehouse's index, or, where that is not
/// there or not wanted, among the words of the local evidence.
pub(crate) async fn recall(settings: &Settings, gateway: &Gateway) -> Result<Recalled, Error> {
    let k = settings.k * CANDIDATES_PER_K;
    if settings.cli.no_retrieval || k == 0 {
        return Ok(Recalled { entries: Vec::new(), method: Method::None, note: None });
    }
    let mut note = None;
    if !settings.cli.local_only {
        match by_vector(gateway, &settings.task, k).await {
            Ok(entries) => return Ok(Recalled { entries, method: Method::Vector, note: None }),
            Err(why) => note = Some(format!("remembering by words, since the index evidence {why}")),
        }
    }
    let entries = by_words(&settings.root, &settings.task, k)?;
    Ok(Recalled { entries, method: Method::Bm25, note })
}

async fn by_vector(gateway: &Gateway, task: &str, k: usize) -> Result<Vec<Entry>, CallError> {
    let embedded = gateway.post("embed", &json!({"texts": [task]}), SEARCH).await?.json()?;
    let vector = embedded.pointer("/vectors/0").ok_or_else(|| CallError::Nonsense("got no vector".to_owned()))?;
    let found =
        gateway.post("vectors/index/evidence/search", &json!({"vector": vector, "k": k}), SEARCH).await?.json()?;
    let results = found.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    // An item that somebody else has put there may carry anything.
    let entry = |item: &Value| {
        let memory: Memory = serde_json::from_value(item.get("metadata")?.clone()).ok()?;
        Some(Entry { memory, score: item.get("distance")?.as_f64()? })
    };
    Ok(results.iter().filter_map(entry).collect())
}

fn by_words(root: &Path, task: &str, k: usize) -> Result<Vec<Entry>, Error> {
    let memories = newest(root)?;
    let documents: Vec<String> = memories.iter().map(Memory::searchable).collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    let ranked = rank(task, &documents, k);
    let entry = |(i, score): (usize, f32)| Some(Entry { memory: memories.get(i)?.clone(), score: f64::from(score) });
    Ok(ranked.into_iter().filter_map(entry).collect())
}

/// The newest local records that have a text.
fn newest(root: &Path) -> Result<Vec<Memory>, Error> {
    let mut memories = Vec::new();
    for file in files::day_files(root, layout::EVIDENCE)?.iter().rev() {
        let path = files::under(root, &file.path);
        let Some(input) = files::open_if_there(&path)? else { continue };
        let mut lines = LineReader::new(BufReader::new(input));
        while let Some(line) = lines.next_line().at("read", &path)? {
            let record = line.text().ok().and_then(|text| EvidenceRecord::from_line(text).ok());
            memories.extend(record.as_ref().and_then(Memory::of));
            if memories.len() >= MOST_RECORDS {
                return Ok(memories);
            }
        }
    }
    Ok(memories)
}
