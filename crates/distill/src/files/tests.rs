use std::{
    fs,
    io::{BufReader, Cursor, Read, Write},
};

use proptest::prelude::*;

use super::*;
use crate::transforms::Skip;

fn lines(bytes: &[u8]) -> Vec<(u64, Vec<u8>, bool, bool)> {
    // A tiny buffer, so that every line crosses its edge.
    let mut reader = LineReader::new(BufReader::with_capacity(3, Cursor::new(bytes.to_vec())));
    let mut all = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        all.push((line.number, line.bytes.to_vec(), line.is_whole, line.is_too_long));
    }
    all
}

#[test]
fn line_ends_and_marks_are_left_out_and_blank_lines_counted() {
    let got = lines(b"\xef\xbb\xbf{}\r\n\n\xef\xbb\xbf1\nhalf");
    let expected = [(0, &b"{}"[..], true), (1, b"", true), (2, b"1", true), (3, b"half", false)];
    assert_eq!(got, expected.map(|(n, bytes, whole)| (n, bytes.to_vec(), whole, false)));
    assert!(lines(b"").is_empty());
    assert_eq!(lines(b"a\n").len(), 1);
}

#[test]
fn an_endless_line_is_passed_over_in_bounded_memory() {
    // 40 MB of one line, made as it is read.
    let endless = std::io::repeat(b'x').take(40 << 20).chain(&b"\n{}\n"[..]);
    let mut reader = LineReader::new(BufReader::new(endless));
    let line = reader.next_line().unwrap().unwrap();
    assert!(line.is_too_long && line.bytes.is_empty() && line.is_whole && !line.is_blank());
    assert_eq!(line.json().unwrap_err(), Skip::TooLong { limit: MAX_LINE_BYTES });
    let line = reader.next_line().unwrap().unwrap();
    assert_eq!((line.number, line.bytes), (1, &b"{}"[..]));
}

#[test]
fn what_can_t_be_read_says_why() {
    let read = |bytes: &[u8]| {
        let mut reader = LineReader::new(Cursor::new(bytes.to_vec()));
        let line = reader.next_line().unwrap().unwrap();
        line.json().unwrap_err().to_string()
    };
    assert_eq!(read(b"ab\xffc\n"), "not UTF-8 at byte 2");
    assert_eq!(read(b"{\"a\":\n"), "not JSON at byte 5: the text ends in the middle");
    assert_eq!(read(b"{\"a\":"), "half-written last line (not JSON at byte 5: the text ends in the middle)");
}

#[test]
fn rows_glued_to_each_other_are_told_apart() {
    let read = |bytes: &[u8]| {
        let mut reader = LineReader::new(Cursor::new(bytes.to_vec()));
        let line = reader.next_line().unwrap().unwrap();
        let row = |row: Row<'_>| {
            (
                row.part,
                String::from_utf8_lossy(row.bytes).into_owned(),
                row.json.map(|json| json.to_string()).map_err(|e| e.to_string()),
            )
        };
        line.rows().map(row).collect::<Vec<_>>()
    };
    let ok = |part, bytes: &str| (part, bytes.to_owned(), Ok(bytes.trim().to_owned()));
    let err = |part, bytes: &str, why: &str| (part, bytes.to_owned(), Err(why.to_owned()));
    assert_eq!(read(b" {\"a\":1} \n"), [ok(0, " {\"a\":1} ")]);
    assert_eq!(read(b"{}{\"a\":1}\t{}\r\n"), [ok(0, "{}"), ok(1, "{\"a\":1}"), ok(2, "{}")]);
    assert_eq!(read(b"{}\xef\xbb\xbf{}\n").len(), 2);
    assert_eq!(read(b"{}{\"a\n"), [ok(0, "{}"), err(1, "{\"a", "not JSON at byte 5: the text ends inside a string")]);
    let half = "half-written last line (not JSON at byte 3: the text ends in the middle)";
    assert_eq!(read(b"{}{"), [ok(0, "{}"), err(1, "{", half)]);
    assert_eq!(read(b"{}\0\0\n"), [ok(0, "{}"), err(1, "\0\0", "not JSON at byte 2: a value was expected")]);
    // Only objects are rows: two other values on a line are no JSON, as ever.
    assert_eq!(read(b"1 {}\n"), [err(0, "1 {}", "not JSON at byte 2: text after the value")]);
    assert_eq!(read(b"{} 1\n"), [ok(0, "{}"), ok(1, "1")]);
    assert_eq!(read(b"{\xff}{}\n"), [err(0, "{\u{fffd}}{}", "not UTF-8 at byte 1")]);
}

proptest! {
    #[test]
    fn lines_are_what_split_gives(bytes in prop::collection::vec(prop::sample::select(b"ab\n\r{}".to_vec()), 0..40)) {
        let got: Vec<Vec<u8>> = lines(&bytes).into_iter().map(|(_, line, ..)| line).collect();
        let mut expected: Vec<&[u8]> = bytes.split(|&b| b == b'\n').collect();
        if expected.last().is_some_and(|last| last.is_empty()) {
            expected.pop();
        }
        let expected: Vec<Vec<u8>> = expected.iter().map(|l| l.strip_suffix(b"\r").unwrap_or(l).to_vec()).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn a_hash_is_that_of_all_bytes_however_they_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200), capacity in 1_usize..20) {
        let mut by_line = LineReader::new(HashingReader::new(BufReader::with_capacity(capacity, Cursor::new(bytes.clone()))));
        while by_line.next_line().unwrap().is_some() {}
        let mut at_once = HashingReader::new(Cursor::new(bytes.clone()));
        at_once.read_to_end(&mut Vec::new()).unwrap();
        let expected = Written { sha256: crate::sha256_hex(&bytes), bytes: bytes.len() as u64 };
        prop_assert_eq!(by_line.into_inner().digest(), expected.clone());
        prop_assert_eq!(at_once.digest(), expected);
    }
}

#[test]
fn a_file_is_published_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let (temp, place) = (root.path().join("tmp/a.new"), root.path().join("deep/er/a.txt"));
    let mut writer = Writer::create(temp.clone()).unwrap();
    writer.write_line(b"one").unwrap();
    assert!(!place.exists());
    drop(writer);
    assert!(!temp.exists());
    let mut writer = Writer::create(temp.clone()).unwrap();
    writer.write_line(b"one").unwrap();
    let written = writer.publish(&place).unwrap();
    assert_eq!(written, Written { sha256: crate::sha256_hex(b"one\n"), bytes: 4 });
    assert_eq!(fs::read(&place).unwrap(), b"one\n");
    assert!(!temp.exists());
}

#[test]
fn only_day_files_are_found_in_a_tree_of_days() {
    let root = tempfile::tempdir().unwrap();
    assert!(day_files(root.path(), "data/evidence").unwrap().is_empty());
    for path in [
        "2026/04/21/outcomes.jsonl",
        "2026/04/21/audits.jsonl",
        "2026/04/03/audits.jsonl",
        "2025/12/31/audits.jsonl",
        "2026/04/21/.hidden.jsonl",
        "2026/04/21/notes.txt",
        "2026/4/1/audits.jsonl",
        "2026/02/30/audits.jsonl",
        ".staging/x.jsonl",
        "2026/04/file",
    ] {
        let path = root.path().join("data/evidence").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let found: Vec<String> =
        day_files(root.path(), "data/evidence").unwrap().into_iter().map(|file| file.path).collect();
    let expected = ["2025/12/31/audits", "2026/04/03/audits", "2026/04/21/audits", "2026/04/21/outcomes"];
    assert_eq!(found, expected.map(|path| format!("data/evidence/{path}.jsonl")));
}

#[test]
fn appends_end_what_others_left_half_written() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data/_kb/rows.jsonl");
    append_line(&path, r#"{"n":1}"#).unwrap();
    fs::write(&path, "{\"n\":1}\n{\"n\":").unwrap();
    append_line(&path, "{\"n\":\n3}").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":1}\n{\"n\":\n{\"n\": 3}\n");
}

#[test]
fn appends_of_many_threads_interleave_lines_only() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("rows.jsonl");
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let path = &path;
            scope.spawn(move || {
                for n in 0..20 {
                    // Far more than a pipe or a page takes at once.
                    let row = format!("{thread}:{n}:{}", char::from(b'a' + thread).to_string().repeat(20_000 + n));
                    append_line(path, &row).unwrap();
                }
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 160);
    for line in text.lines() {
        let mut parts = line.split(':');
        let (thread, n): (u8, usize) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        let body = parts.next().unwrap();
        assert!(body.len() == 20_000 + n && body.bytes().all(|b| b == b'a' + thread));
    }
}

fn append(path: &Path, lines: &[&str]) -> Written {
    let mut appender = Appender::open(path.to_owned()).unwrap();
    for line in lines {
        appender.push(line.as_bytes()).unwrap();
    }
    appender.finish().unwrap()
}

#[test]
fn lines_go_behind_what_is_there() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("deep/er/rows.jsonl");
    assert_eq!(append(&path, &["old"]), Written { sha256: crate::sha256_hex(b"old\n"), bytes: 4 });
    append(&path, &["new", "newer"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew\nnewer\n");
    // What others have not ended is, whether lines follow or not.
    for (lines, expected) in [(&[][..], "old\nha\n"), (&["new"], "old\nha\nnew\n")] {
        fs::write(&path, "old\nha").unwrap();
        let written = append(&path, lines);
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(written.sha256, crate::sha256_hex(expected.as_bytes()));
    }
}

#[test]
fn lines_that_a_crash_has_cut_are_completed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("rows.jsonl");
    let lines = ["{\"a\":1}", "{\"a\":1}{", "{\"b\":\"\u{e9}\"}"];
    let all = format!("old\n{}\n", lines.join("\n"));
    for cut in 4..=all.len() {
        fs::write(&path, &all.as_bytes()[..cut]).unwrap();
        // Whoever reads the file finds the whole lines, and appends the others.
        let whole = all.as_bytes()[4..cut].iter().filter(|&&byte| byte == b'\n').count();
        append(&path, &lines[whole..]);
        assert_eq!(fs::read_to_string(&path).unwrap(), all, "cut at {cut}");
    }
}

#[test]
fn what_others_write_while_lines_are_appended_stays() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("rows.jsonl");
    append_line(&path, "first").unwrap();
    // One that never heard of the lock, and has the file open all the time.
    let mut other = File::options().append(true).open(&path).unwrap();
    let mut appender = Appender::open(path.clone()).unwrap();
    let long = "x".repeat(Appender::CHUNK);
    appender.push(long.as_bytes()).unwrap();
    other.write_all(b"between\n").unwrap();
    appender.push(b"last").unwrap();
    // One that waits for the lock.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| append_line(&path, "after").unwrap());
        appender.finish().unwrap();
        waiting.join().unwrap();
    });
    other.write_all(b"late\n").unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), ["first", &long, "between", "last", "after", "late"]);
}

#[test]
fn a_lock_makes_the_second_one_wait() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data/.lock");
    let first = lock(&path, || panic!("nobody has it")).unwrap();
    std::thread::scope(|scope| {
        let (waits, waiting) = std::sync::mpsc::channel();
        let second = scope.spawn(|| lock(&path, move || waits.send(()).unwrap()).map(|_| ()));
        waiting.recv().unwrap();
        drop(first);
        second.join().unwrap().unwrap();
    });
}
