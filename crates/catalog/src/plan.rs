//! What a registration means for the dataset as it stands: pure, no store, no clock.

use std::collections::{BTreeSet, HashMap, HashSet};

use lakehouse_types::catalog::{Column, DataObject, Manifest, Mode, RegisterRequest};

use crate::{Drift, Error};

/// Fingerprints are hex digests; this leaves room for a prefix that names the algorithm.
const MAX_FINGERPRINT: usize = 256;
/// Keys under a first segment that begins with this are the services' own.
const RESERVED: char = '_';

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// All of it is there already.
    Existing,
    /// This is the dataset's next version.
    Write(Manifest),
}

/// Checks what can be told without knowing the dataset.
pub(crate) fn validate(request: &RegisterRequest) -> Result<(), Error> {
    let invalid = |what: String| Err(Error::Invalid(what));
    if !sane(&request.schema_fingerprint) {
        return invalid("`schema_fingerprint` must have 1 to 256 bytes and no control characters".into());
    }
    validate_schema(&request.schema)?;
    if request.objects.is_empty() {
        return invalid("`objects` is empty; a dataset has at least one file".into());
    }
    let (mut keys, mut fingerprints) = (HashSet::new(), HashSet::new());
    for (position, object) in request.objects.iter().enumerate() {
        validate_object(position, object)?;
        if !keys.insert(&object.key) || !fingerprints.insert(&object.fingerprint) {
            return invalid(format!("objects[{position}] (`{}`) is there twice", object.key));
        }
    }
    Ok(())
}

fn validate_schema(schema: &[Column]) -> Result<(), Error> {
    let invalid = |what: String| Err(Error::Invalid(what));
    if schema.is_empty() {
        return invalid("`schema` is empty; a dataset has at least one column".into());
    }
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (position, column) in schema.iter().enumerate() {
        if column.name.is_empty() || column.name.contains('\0') {
            return invalid(format!("schema[{position}]: a column's name is not empty and has no NUL"));
        }
        if !sane(&column.sql_type) {
            return invalid(format!("schema[{position}] (`{}`): its type is not a SQL type's name", column.name));
        }
        if let Some(first) = seen.insert(fold(&column.name), &column.name) {
            return invalid(format!(
                "the columns `{first}` and `{}` are the same to SQL, which ignores case",
                column.name
            ));
        }
    }
    Ok(())
}

fn validate_object(position: usize, object: &DataObject) -> Result<(), Error> {
    let invalid = |what: &str| Err(Error::Invalid(format!("objects[{position}] (`{}`): {what}", object.key)));
    if object.key.as_str().starts_with(RESERVED) {
        return invalid("keys that begin with `_` are the services' own");
    }
    if !sane(&object.fingerprint) {
        return invalid("`fingerprint` must have 1 to 256 bytes and no control characters");
    }
    let digest = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !object.sha256.as_ref().is_none_or(digest) {
        return invalid("`sha256` must have 64 hex digits");
    }
    Ok(())
}

fn sane(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_FINGERPRINT && !text.chars().any(char::is_control)
}

/// As `Name::folded` does it, for columns.
fn fold(name: &str) -> String {
    name.to_lowercase().to_uppercase().to_lowercase()
}

/// Decides what a registration does to `current`, which is the dataset at its newest version, or
/// nothing; `last_version` is the newest version under this name, also when that is a deletion.
pub(crate) fn plan(
    current: Option<&Manifest>,
    last_version: u64,
    request: &RegisterRequest,
    now_ms: i64,
) -> Result<Plan, Error> {
    let Some(current) = current else {
        return next(request, request.objects.clone(), last_version, now_ms, now_ms);
    };
    if current.name != request.name {
        return Err(Error::CaseConflict { name: request.name.clone(), existing: current.name.clone() });
    }
    let registered = (current.schema.as_slice(), current.schema_fingerprint.as_str());
    if let Some(drift) = Drift::between(registered, (&request.schema, &request.schema_fingerprint)) {
        return Err(Error::Drift(Box::new(drift)));
    }
    let objects = match request.mode {
        Mode::Replace if same_set(&current.objects, &request.objects) => return Ok(Plan::Existing),
        Mode::Replace => request.objects.clone(),
        Mode::Append => {
            let new = added(current, &request.objects)?;
            let rewritten = |object: &DataObject| request.objects.iter().find(|offered| is_rewritten(object, offered));
            if new.is_empty() && !current.objects.iter().any(|object| rewritten(object).is_some()) {
                return Ok(Plan::Existing);
            }
            current.objects.iter().map(|object| rewritten(object).unwrap_or(object)).chain(new).cloned().collect()
        }
    };
    // A clock that was set back must not make a version older than the one before it.
    let updated_ms = now_ms.max(current.updated_ms);
    next(request, objects, last_version, current.created_ms, updated_ms)
}

fn next(
    request: &RegisterRequest,
    objects: Vec<DataObject>,
    last_version: u64,
    created_ms: i64,
    updated_ms: i64,
) -> Result<Plan, Error> {
    let total = |of: fn(&DataObject) -> u64| objects.iter().try_fold(0_u64, |sum, object| sum.checked_add(of(object)));
    let (Some(rows), Some(bytes)) = (total(|object| object.rows), total(|object| object.size)) else {
        return Err(Error::Invalid("the rows or sizes of the objects don't fit into 64 bits".into()));
    };
    let version = last_version.checked_add(1);
    let version = version.ok_or_else(|| Error::Internal("the versions of a dataset ran out".into()))?;
    Ok(Plan::Write(Manifest {
        name: request.name.clone(),
        version,
        schema_fingerprint: request.schema_fingerprint.clone(),
        schema: request.schema.clone(),
        objects,
        rows,
        bytes,
        created_ms,
        updated_ms,
    }))
}

/// Has the file been written anew, from the same source and with other bytes? A later version of the
/// service may do so to mend a damaged one.
fn is_rewritten(object: &DataObject, offered: &DataObject) -> bool {
    let other_digest = match (&object.sha256, &offered.sha256) {
        (Some(old), Some(new)) => !old.eq_ignore_ascii_case(new),
        _ => false,
    };
    object.key == offered.key && (object.size != offered.size || other_digest)
}

/// Are they the same files, in whatever order? A digest that only one side knows says nothing.
fn same_set(current: &[DataObject], offered: &[DataObject]) -> bool {
    let identity = |object: &DataObject| (object.key.clone(), object.fingerprint.clone(), object.size, object.rows);
    let digests: HashMap<_, _> = current.iter().map(|object| (&object.key, object.sha256.as_ref())).collect();
    let contradicts = |object: &DataObject| match (digests.get(&object.key), &object.sha256) {
        (Some(Some(old)), Some(new)) => !old.eq_ignore_ascii_case(new),
        _ => false,
    };
    current.iter().map(identity).collect::<BTreeSet<_>>() == offered.iter().map(identity).collect()
        && !offered.iter().any(contradicts)
}

/// The offered files that are not there yet, by key and by content.
fn added<'a>(current: &Manifest, offered: &'a [DataObject]) -> Result<Vec<&'a DataObject>, Error> {
    let by_key: HashMap<_, _> = current.objects.iter().map(|object| (&object.key, &object.fingerprint)).collect();
    let fingerprints: HashSet<_> = current.objects.iter().map(|object| &object.fingerprint).collect();
    let mut new = Vec::new();
    for object in offered {
        match by_key.get(&object.key) {
            Some(fingerprint) if **fingerprint != object.fingerprint => {
                return Err(Error::ObjectConflict { key: object.key.clone() });
            }
            Some(_) => {}
            None if fingerprints.contains(&object.fingerprint) => {}
            None => new.push(object),
        }
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use lakehouse_types::{ErrorKind, Name, ObjectKey, ServiceError as _};

    use super::*;

    fn object(id: &str) -> DataObject {
        DataObject {
            key: ObjectKey::new(format!("datasets/d/{id}.parquet")).unwrap(),
            size: 10,
            rows: 2,
            fingerprint: id.into(),
            sha256: None,
        }
    }

    fn request(mode: Mode, ids: &[&str]) -> RegisterRequest {
        RegisterRequest {
            name: Name::new("Weather").unwrap(),
            schema_fingerprint: "s1".into(),
            schema: vec![Column { name: "a".into(), sql_type: "BIGINT".into() }],
            objects: ids.iter().map(|id| object(id)).collect(),
            mode,
        }
    }

    fn written(plan: Result<Plan, Error>) -> Manifest {
        match plan {
            Ok(Plan::Write(manifest)) => manifest,
            other => panic!("not a write: {other:?}"),
        }
    }

    fn ids(manifest: &Manifest) -> Vec<&str> {
        manifest.objects.iter().map(|object| object.fingerprint.as_str()).collect()
    }

    #[test]
    fn a_first_registration_counts_on_from_the_last_version() {
        let manifest = written(plan(None, 0, &request(Mode::Replace, &["x", "y"]), 7));
        assert_eq!((manifest.version, manifest.rows, manifest.bytes), (1, 4, 20));
        assert_eq!((manifest.created_ms, manifest.updated_ms), (7, 7));
        assert_eq!(written(plan(None, 5, &request(Mode::Append, &["x"]), 7)).version, 6);
    }

    #[test]
    fn replace_and_append_do_what_they_say() {
        let first = written(plan(None, 0, &request(Mode::Replace, &["x", "y"]), 7));
        let go = |mode, ids: &[&str]| plan(Some(&first), 1, &request(mode, ids), 9);
        assert_eq!(go(Mode::Replace, &["y", "x"]).unwrap(), Plan::Existing);
        assert_eq!(ids(&written(go(Mode::Replace, &["x"]))), ["x"]);
        assert_eq!(go(Mode::Append, &["y"]).unwrap(), Plan::Existing);
        let appended = written(go(Mode::Append, &["y", "z"]));
        assert_eq!(ids(&appended), ["x", "y", "z"]);
        assert_eq!((appended.version, appended.rows, appended.created_ms, appended.updated_ms), (2, 6, 7, 9));
        let earlier = written(plan(Some(&first), 1, &request(Mode::Append, &["z"]), 1));
        assert_eq!(earlier.updated_ms, 7, "the clock went back");
    }

    #[test]
    fn the_same_content_under_another_key_adds_nothing_and_other_content_under_a_key_is_refused() {
        let first = written(plan(None, 0, &request(Mode::Replace, &["x"]), 7));
        let mut moved = request(Mode::Append, &["x"]);
        moved.objects[0].key = ObjectKey::new("elsewhere/x").unwrap();
        assert_eq!(plan(Some(&first), 1, &moved, 9).unwrap(), Plan::Existing);
        let mut changed = request(Mode::Append, &["x"]);
        changed.objects[0].fingerprint = "other".into();
        assert!(matches!(plan(Some(&first), 1, &changed, 9), Err(Error::ObjectConflict { .. })));
    }

    #[test]
    fn a_digest_counts_where_both_sides_know_it() {
        let with = |digest: Option<&str>| {
            let mut request = request(Mode::Replace, &["x"]);
            request.objects[0].sha256 = digest.map(|digit| digit.repeat(64));
            request
        };
        let known = written(plan(None, 0, &with(Some("a")), 7));
        let against = |digest| plan(Some(&known), 1, &with(digest), 9).unwrap();
        assert_eq!(against(Some("A")), Plan::Existing);
        assert_eq!(against(None), Plan::Existing);
        assert!(matches!(against(Some("b")), Plan::Write(_)));
    }

    #[test]
    fn an_append_of_a_file_that_was_written_anew_takes_its_new_bytes_and_keeps_the_others() {
        let offered = |size, digest: &str| {
            let mut request = request(Mode::Append, &["x"]);
            request.objects[0].size = size;
            request.objects[0].sha256 = Some(digest.repeat(64));
            request
        };
        let mut both = request(Mode::Replace, &["x", "y"]);
        both.objects[0].sha256 = Some("a".repeat(64));
        let first = written(plan(None, 0, &both, 7));
        assert_eq!(plan(Some(&first), 1, &offered(10, "A"), 9).unwrap(), Plan::Existing);
        for (size, digest) in [(10, "b"), (11, "b")] {
            let healed = written(plan(Some(&first), 1, &offered(size, digest), 9));
            assert_eq!(ids(&healed), ["x", "y"]);
            assert_eq!((healed.objects[0].size, healed.objects[0].sha256.clone()), (size, Some(digest.repeat(64))));
            assert_eq!(healed.objects[1], first.objects[1]);
            assert_eq!((healed.version, healed.bytes), (2, size + 10));
        }
    }

    #[test]
    fn a_name_in_another_case_and_a_drifted_schema_conflict() {
        let first = written(plan(None, 0, &request(Mode::Replace, &["x"]), 7));
        let mut other_case = request(Mode::Replace, &["x"]);
        other_case.name = Name::new("WEATHER").unwrap();
        let error = plan(Some(&first), 1, &other_case, 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.extensions()["existing_name"], "Weather");
        // Even with the same fingerprint: it may lie, the columns don't.
        let mut drifted = request(Mode::Append, &["z"]);
        drifted.schema[0].sql_type = "VARCHAR".into();
        let error = plan(Some(&first), 1, &drifted, 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(error.extensions()["columns"][0]["offered"], "VARCHAR");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |edit: fn(&mut RegisterRequest)| {
            let mut request = request(Mode::Replace, &["x", "y"]);
            edit(&mut request);
            validate(&request).map_err(|error| error.kind())
        };
        assert_eq!(refused(|_| {}), Ok(()));
        let edits: [fn(&mut RegisterRequest); 13] = [
            |r| r.schema_fingerprint.clear(),
            |r| r.schema_fingerprint = "x".repeat(257),
            |r| r.schema.clear(),
            |r| r.schema[0].name.clear(),
            |r| r.schema[0].sql_type.clear(),
            |r| r.schema.push(Column { name: "A".into(), sql_type: "DATE".into() }),
            |r| r.objects.clear(),
            |r| r.objects[1].key = r.objects[0].key.clone(),
            |r| r.objects[1].fingerprint = "x".into(),
            |r| r.objects[0].fingerprint.clear(),
            |r| r.objects[0].fingerprint = "a\nb".into(),
            |r| r.objects[0].sha256 = Some("abc".into()),
            |r| r.objects[0].key = ObjectKey::new("_catalog/x/1.json").unwrap(),
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            assert_eq!(refused(edit), Err(ErrorKind::InvalidInput), "edit {number}");
        }
    }

    #[test]
    fn sums_that_overflow_are_refused() {
        let mut request = request(Mode::Replace, &["x", "y"]);
        request.objects[0].rows = u64::MAX;
        assert_eq!(plan(None, 0, &request, 7).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
