use super::{Sink, for_each_chunk, value};
use crate::duck::{Failure, Stream};

/// RFC 4180: a header, CRLF, quotes where they are needed. NULL is an empty field, the empty
/// string a quoted one, so that the two stay apart.
pub(super) fn write(
    stream: &mut Stream<'_>,
    sink: &mut Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, Failure> {
    let out = sink.buffer();
    for (index, column) in stream.columns().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_field(column.name.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
    let mut text = Vec::new();
    for_each_chunk(stream, cancelled, |stream, chunk| {
        let vectors: Vec<_> = (0..stream.columns().len()).map(|index| stream.vector(chunk, index)).collect();
        for row in 0..chunk.len() {
            let out = sink.buffer();
            for (index, vector) in vectors.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if !vector.is_null(row) {
                    text.clear();
                    value::write_plain(vector, row, &mut text);
                    write_field(&text, out);
                }
            }
            out.extend_from_slice(b"\r\n");
            sink.part_done()?;
        }
        Ok(())
    })
}

fn write_field(text: &[u8], out: &mut Vec<u8>) {
    let plain = !text.is_empty() && !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if plain {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::write_field;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (text, field) in
            [("a b", "a b"), ("", "\"\""), ("a,b", "\"a,b\""), ("\"", "\"\"\"\""), ("a\nb", "\"a\nb\"")]
        {
            let mut out = Vec::new();
            write_field(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), field);
        }
    }
}
