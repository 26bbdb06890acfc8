use std::collections::HashSet;

use super::{Sink, for_each_chunk, value};
use crate::duck::{Failure, Stream};

/// `{"columns":[{"name","type"}],"rows":[[..]],"row_count":n}`.
pub(super) fn write(
    stream: &mut Stream<'_>,
    sink: &mut Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, Failure> {
    let out = sink.buffer();
    out.extend_from_slice(b"{\"columns\":[");
    for (index, column) in stream.columns().iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"{\"name\":" } else { b",{\"name\":" });
        value::write_text(&column.name, out);
        out.extend_from_slice(b",\"type\":");
        value::write_text(&column.type_name, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"rows\":[");
    let mut first = true;
    let rows = for_each_chunk(stream, cancelled, |stream, chunk| {
        let vectors: Vec<_> = (0..stream.columns().len()).map(|index| stream.vector(chunk, index)).collect();
        for row in 0..chunk.len() {
            let out = sink.buffer();
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.push(b'[');
            for (index, vector) in vectors.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                value::write_json(vector, row, out);
            }
            out.push(b']');
            sink.part_done()?;
        }
        Ok(())
    })?;
    let out = sink.buffer();
    out.extend_from_slice(b"],\"row_count\":");
    value::write_number(rows, out);
    out.push(b'}');
    Ok(rows)
}

/// One object a row. Column names that come twice are numbered: a reader would keep only one.
pub(super) fn write_lines(
    stream: &mut Stream<'_>,
    sink: &mut Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, Failure> {
    let keys: Vec<Vec<u8>> = unique_names(stream.columns().iter().map(|column| column.name.as_str()))
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let mut key = vec![if index == 0 { b'{' } else { b',' }];
            value::write_text(&name, &mut key);
            key.push(b':');
            key
        })
        .collect();
    for_each_chunk(stream, cancelled, |stream, chunk| {
        let vectors: Vec<_> = (0..stream.columns().len()).map(|index| stream.vector(chunk, index)).collect();
        for row in 0..chunk.len() {
            let out = sink.buffer();
            for (key, vector) in keys.iter().zip(&vectors) {
                out.extend_from_slice(key);
                value::write_json(vector, row, out);
            }
            out.extend_from_slice(b"}\n");
            sink.part_done()?;
        }
        Ok(())
    })
}

/// `a`, `a` becomes `a`, `a_1`.
fn unique_names<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let given: HashSet<&str> = names.clone().collect();
    let mut unique = Vec::new();
    for name in names {
        let mut candidate = name.to_owned();
        let mut number = 0;
        while taken.contains(&candidate) || (number > 0 && given.contains(candidate.as_str())) {
            number += 1;
            candidate = format!("{name}_{number}");
        }
        taken.insert(candidate.clone());
        unique.push(candidate);
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::unique_names;

    #[test]
    fn names_are_made_unique_and_given_ones_keep_theirs() {
        assert_eq!(unique_names(["a", "a", "a_1", "a", "b"].into_iter()), ["a", "a_2", "a_1", "a_3", "b"]);
    }
}
