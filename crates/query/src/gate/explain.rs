//! EXPLAIN, which DuckDB does not serialise: it is taken off, what is left is judged, and what
//! runs is put together anew.

use crate::duck::Failure;

/// A statement that begins with EXPLAIN.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explain<'s> {
    pub(super) analyze: bool,
    pub(super) format: Option<&'static str>,
    /// What is explained: not judged yet.
    pub(super) inner: &'s str,
}

/// Forms of the plan that DuckDB can write.
const FORMATS: [&str; 6] = ["text", "json", "html", "graphviz", "yaml", "mermaid"];

impl Explain<'_> {
    /// EXPLAIN of `inner`, from known words only.
    pub(super) fn around(&self, inner: &str) -> String {
        let analyze = if self.analyze { "ANALYZE " } else { "" };
        match (self.format, self.analyze) {
            (None, _) => format!("EXPLAIN {analyze}{inner}"),
            (Some(format), false) => format!("EXPLAIN (FORMAT {format}) {inner}"),
            (Some(format), true) => format!("EXPLAIN (ANALYZE, FORMAT {format}) {inner}"),
        }
    }
}

/// `None` where the text does not begin with EXPLAIN.
///
/// # Errors
/// Options that are not known.
pub(super) fn split(sql: &str) -> Result<Option<Explain<'_>>, Failure> {
    let Some(rest) = keyword(sql, "EXPLAIN") else { return Ok(None) };
    if let Some((analyze, format, inner)) = options(rest)? {
        return Ok(Some(Explain { analyze, format, inner }));
    }
    if let Some(inner) = keyword(rest, "ANALYZE").or_else(|| keyword(rest, "ANALYSE")) {
        return Ok(Some(Explain { analyze: true, format: None, inner }));
    }
    Ok(Some(Explain { analyze: false, format: None, inner: rest }))
}

type Options<'s> = (bool, Option<&'static str>, &'s str);

/// `(ANALYZE, FORMAT json)`; `None` where the parenthesis, if there is one, opens the statement.
fn options(sql: &str) -> Result<Option<Options<'_>>, Failure> {
    let Some(list) = skip_blank(sql).strip_prefix('(') else { return Ok(None) };
    let first = word(skip_blank(list)).to_ascii_uppercase();
    if !["ANALYZE", "ANALYSE", "FORMAT"].contains(&first.as_str()) {
        return Ok(None);
    }
    let unknown = || Failure::sql(format!("EXPLAIN takes (ANALYZE, FORMAT {})", FORMATS.join("|")));
    let (list, inner) = list.split_once(')').ok_or_else(unknown)?;
    let (mut analyze, mut format) = (false, None);
    for option in list.split(',') {
        let mut words = option.split_ascii_whitespace().map(str::to_ascii_lowercase);
        match (words.next().as_deref(), words.next(), words.next()) {
            (Some("analyze" | "analyse"), None, _) => analyze = true,
            (Some("format"), Some(name), None) => {
                format = Some(*FORMATS.iter().find(|known| **known == name).ok_or_else(unknown)?);
            }
            _ => return Err(unknown()),
        }
    }
    Ok(Some((analyze, format, inner)))
}

/// What to say of a statement that is no SELECT.
pub(super) fn only_select(sql: &str) -> String {
    let first = word(skip_blank(sql)).to_ascii_uppercase();
    let mut text = String::from(
        "only one statement that reads is allowed: SELECT, FROM, WITH, VALUES, TABLE, DESCRIBE, SUMMARIZE, SHOW TABLES, \
         or EXPLAIN of one of these",
    );
    match first.as_str() {
        "" => {}
        "SELECT" | "FROM" | "WITH" | "PIVOT" | "PIVOT_WIDER" => {
            text.push_str("; a PIVOT must name its values: PIVOT .. ON column IN (value, ..)");
        }
        other => {
            text.push_str("; this one begins with ");
            text.push_str(other);
        }
    }
    text
}

/// What follows `keyword` at the beginning of `sql`.
fn keyword<'s>(sql: &'s str, keyword: &str) -> Option<&'s str> {
    let sql = skip_blank(sql);
    let first = word(sql);
    first.eq_ignore_ascii_case(keyword).then(|| &sql[first.len()..])
}

fn word(sql: &str) -> &str {
    let end = sql.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(sql.len());
    &sql[..end]
}

/// Skips white space and comments. Where this differs from DuckDB's scanner, what is left does
/// not parse, and the statement is refused.
fn skip_blank(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start();
        if let Some(comment) = sql.strip_prefix("--") {
            sql = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if sql.starts_with("/*") {
            sql = skip_block(sql);
        } else {
            return sql;
        }
    }
}

/// Skips a block comment; they nest.
fn skip_block(sql: &str) -> &str {
    let bytes = sql.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth = depth.saturating_sub(1),
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return sql.get(at..).unwrap_or_default();
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_ok(sql: &str) -> Option<Explain<'_>> {
        split(sql).unwrap()
    }

    #[test]
    fn explain_is_found_behind_blanks_and_comments() {
        assert_eq!(split_ok("select 1"), None);
        assert_eq!(split_ok("explainer"), None);
        assert_eq!(split_ok("-- explain\nselect 1"), None);
        for sql in [" \u{a0}\n/* a /* b */ c */ -- d\n Explain select 1", "EXPLAIN select 1", "explain\tselect 1"] {
            let found = split_ok(sql).unwrap();
            assert_eq!((found.analyze, found.format, found.inner.trim()), (false, None, "select 1"), "{sql}");
        }
        assert_eq!(split_ok("explain analyze select 1").unwrap().around("X"), "EXPLAIN ANALYZE X");
    }

    #[test]
    fn options_are_known_ones_and_a_parenthesis_may_open_the_statement() {
        let json = split_ok("explain (format JSON) select 1").unwrap();
        assert_eq!((json.around("X").as_str(), json.inner), ("EXPLAIN (FORMAT json) X", " select 1"));
        let both = split_ok("explain (analyze , format html) select 1").unwrap();
        assert_eq!(both.around("X"), "EXPLAIN (ANALYZE, FORMAT html) X");
        assert_eq!(split_ok("explain (select 1)").unwrap().inner, " (select 1)");
        for bad in
            ["explain (format evil) x", "explain (analyze, x) y", "explain (format json", "explain (analyze false) x"]
        {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_word_is_named() {
        assert!(only_select("/* x */ copy t to 'x'").ends_with("this one begins with COPY"));
        assert!(only_select("pivot t on x").contains("IN (value"));
        assert!(!only_select("").contains("begins"));
    }
}
