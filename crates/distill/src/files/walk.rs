use std::{fs, path::Path};

use super::{At, Error};
use crate::time::Day;

/// One file of a tree of days.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayFile {
    /// Its day.
    pub day: Day,
    /// Its name without `.jsonl`.
    pub source: String,
    /// Its path, relative to the root.
    pub path: String,
}

/// Every `<tree>/YYYY/MM/DD/<source>.jsonl` under `root`, by day and source. Anything else in there
/// is passed over; a tree that is not there is empty.
///
/// # Errors
/// If a folder can't be read.
pub fn day_files(root: &Path, tree: &str) -> Result<Vec<DayFile>, Error> {
    let mut files = Vec::new();
    for year in names(&root.join(tree))? {
        for month in names(&root.join(format!("{tree}/{year}")))? {
            for day in names(&root.join(format!("{tree}/{year}/{month}")))? {
                let folder = format!("{year}/{month}/{day}");
                let Some(day) = Day::from_folder(&folder) else { continue };
                for name in names(&root.join(format!("{tree}/{folder}")))? {
                    let Some(source) = name.strip_suffix(".jsonl").filter(|s| !s.starts_with('.')) else { continue };
                    files.push(DayFile { day, source: source.to_owned(), path: format!("{tree}/{folder}/{name}") });
                }
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The names in a folder; none if it is not there or no folder.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(e).at("list", folder),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not UTF-8 is none of ours.
        names.extend(entry.at("list", folder)?.file_name().into_string().ok());
    }
    Ok(names)
}
