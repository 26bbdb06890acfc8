use std::{borrow::Cow, collections::BTreeSet};

use serde_json::Value;

use crate::{
    evidence::{EvidenceRecord, Members, Verdict, is_id, round},
    json::{Json, Object},
};

/// Reads a row's members by any of their names, and remembers which it could not make sense of.
///
/// A name may be a path, `usage.prompt_tokens`. Of several names the first that can be read wins;
/// null, blank text and what is no number (`NaN`) count as absent; the last is named as unreadable,
/// wherever in the row it stands.
pub(super) struct Reader<'r, 'a> {
    row: &'r Object<'a>,
    unreadable: BTreeSet<Cow<'static, str>>,
}

type Names = [&'static str];

/// Members beyond so many that are no numbers are not named one by one.
const MOST_NAMED: usize = 100;
/// Longer paths are cut: a row may repeat a huge key in each.
const MOST_PATH_CHARS: usize = 200;

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(row: &'r Object<'a>) -> Self {
        Self { row, unreadable: BTreeSet::new() }
    }

    /// The value at `path`, if it is there and says anything.
    pub(super) fn get(&self, path: &str) -> Option<&'r Json<'a>> {
        self.get_even_if_not_finite(path).filter(|value| !matches!(value, Json::NotFinite(_)))
    }

    /// The same, or one of Python's words for what is no number.
    pub(super) fn get_even_if_not_finite(&self, path: &str) -> Option<&'r Json<'a>> {
        let mut parts = path.split('.');
        let mut value = self.row.get(parts.next()?)?;
        for part in parts {
            value = value.as_object()?.get(part)?;
        }
        match value {
            Json::Null => None,
            Json::String(text) if text.trim().is_empty() => None,
            value => Some(value),
        }
    }

    fn first<T>(&mut self, names: &Names, read: impl Fn(&Json<'_>) -> Option<T>) -> Option<T> {
        for &name in names {
            let Some(value) = self.get(name) else { continue };
            match read(value) {
                Some(read) => return Some(read),
                None => {
                    // `model` may be a name or an object that `model.name` reaches into.
                    if value.as_object().is_none() || !names.iter().any(|other| is_path_into(other, name)) {
                        self.unreadable.insert(Cow::Borrowed(name));
                    }
                }
            }
        }
        None
    }

    /// Text as it stands, white space included.
    pub(super) fn text(&mut self, names: &Names) -> Option<String> {
        self.first(names, |value| value.as_str().map(str::to_owned))
    }

    /// A name: one trimmed line.
    pub(super) fn name(&mut self, names: &Names) -> Option<String> {
        self.first(names, |value| value.as_str().map(|text| text.trim().to_owned()))
    }

    /// An id, which some write as a number.
    pub(super) fn id(&mut self, names: &Names) -> Option<String> {
        self.first(names, |value| {
            let id = match value {
                Json::String(text) => text.trim().to_owned(),
                // The same id whichever runtime wrote it: pandas makes 12.0 of a 12.
                value => value.as_number()?.into_owned(),
            };
            is_id(&id).then_some(id)
        })
    }

    /// A finite number, also as text.
    fn number(&mut self, names: &Names, fits: impl Fn(f64) -> bool) -> Option<f64> {
        self.first(names, |value| {
            let number = match value {
                Json::String(text) => text.trim().parse().ok().filter(|x: &f64| x.is_finite()),
                value => value.as_f64(),
            };
            number.filter(|&x| fits(x))
        })
    }

    /// A number that is not negative, rounded to a whole one.
    pub(super) fn count(&mut self, names: &Names) -> Option<u64> {
        self.number(names, |x| round(x).is_some()).and_then(round)
    }

    /// A number that is not negative.
    pub(super) fn amount(&mut self, names: &Names) -> Option<f64> {
        self.number(names, |x| x >= 0.0)
    }

    /// 0..=100. A fraction between 0 and 1 is one of 1.
    pub(super) fn percentage(&mut self, names: &Names) -> Option<f64> {
        let number = self.number(names, |x| (0.0..=100.0).contains(&x))?;
        // Ten digits are kept: 0.29 * 100 would otherwise be 28.999999999999996.
        Some(if number < 1.0 { (number * 1e12).round() / 1e10 } else { number })
    }

    /// True or false, also as text or 0 and 1.
    pub(super) fn flag(&mut self, names: &Names) -> Option<bool> {
        self.first(names, |value| match value {
            Json::Bool(flag) => Some(*flag),
            Json::String(text) => text.trim().to_lowercase().parse().ok(),
            value => match value.as_number().as_deref() {
                Some("0") => Some(false),
                Some("1") => Some(true),
                _ => None,
            },
        })
    }

    /// A word with a meaning.
    pub(super) fn word<T>(&mut self, names: &Names, meaning: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.first(names, |value| value.as_str().and_then(&meaning))
    }

    /// A verdict, in the words that logs use.
    pub(super) fn verdict(&mut self, names: &Names) -> Option<Verdict> {
        self.word(names, Verdict::from_word)
    }

    /// Texts: an array, or one alone. Items that are not text are kept as their JSON.
    pub(super) fn list(&mut self, names: &Names) -> Vec<String> {
        let list = self.first(names, |value| match value {
            Json::String(text) => Some(vec![text.trim().to_owned()]),
            Json::Array(items) => Some(
                items
                    .iter()
                    .filter_map(|item| match item {
                        Json::Null | Json::NotFinite(_) => None,
                        Json::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
                        other => Some(other.to_string()),
                    })
                    .collect(),
            ),
            _ => None,
        });
        list.unwrap_or_default()
    }

    /// An object's members.
    pub(super) fn members(&mut self, names: &Names) -> Members {
        let members = self.first(names, |value| {
            value.as_object().map(|object| object.iter().map(|(k, v)| (k.to_owned(), v.to_value())).collect())
        });
        members.unwrap_or_default()
    }

    /// Text, or an object.
    pub(super) fn word_or_members(&mut self, name: &'static str) -> Option<Value> {
        self.first(&[name], |value| matches!(value, Json::String(_) | Json::Object(_)).then(|| value.to_value()))
    }

    /// How many there are: a count, or something that has a length.
    pub(super) fn size(&mut self, names: &Names) -> Option<u64> {
        self.first(names, |value| match value {
            Json::Array(items) => u64::try_from(items.len()).ok(),
            Json::Object(object) => u64::try_from(object.len()).ok(),
            value => value.as_f64().and_then(round),
        })
    }

    /// Copies `name` into `into` under the same name, whatever it is.
    pub(super) fn keep(&self, name: &str, into: &mut Members) {
        if let Some(value) = self.get(name) {
            into.insert(name.to_owned(), value.to_value());
        }
    }

    /// Says in the metadata which members had a type or value that could not be used.
    pub(super) fn name_the_unreadable(mut self, record: &mut EvidenceRecord) {
        let mut more = 0_u64;
        let unreadable = &mut self.unreadable;
        let mut path = String::new();
        for (key, value) in self.row.iter() {
            path.push_str(key);
            each_not_finite(value, &mut path, &mut |path| {
                if unreadable.len() < MOST_NAMED {
                    unreadable.insert(path.chars().take(MOST_PATH_CHARS).collect::<String>().into());
                } else {
                    more += 1;
                }
            });
            path.clear();
        }
        if !self.unreadable.is_empty() {
            let mut names: Vec<Cow<'static, str>> = self.unreadable.into_iter().collect();
            if more > 0 {
                names.push(format!("and {more} more").into());
            }
            record.metadata.insert("unreadable_fields".to_owned(), names.into());
        }
    }
}

/// Calls `each` with the path of everything in `value` that is no number: `usage.cost`, `hits[2].score`.
fn each_not_finite(value: &Json<'_>, path: &mut String, each: &mut impl FnMut(&str)) {
    let length = path.len();
    match value {
        Json::NotFinite(_) => each(path),
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                path.push_str(&format!("[{i}]"));
                each_not_finite(item, path, each);
                path.truncate(length);
            }
        }
        Json::Object(object) => {
            for (key, value) in object.iter() {
                path.push('.');
                path.push_str(key);
                each_not_finite(value, path, each);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn is_path_into(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}
