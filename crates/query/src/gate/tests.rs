use proptest::prelude::*;

use super::*;
use crate::duck::Database;

thread_local! {
    static GATE: Gate = Gate::new(Database::open().unwrap().connect().unwrap()).unwrap();
}

fn inspect(sql: &str) -> Result<Inspection, Failure> {
    GATE.with(|gate| gate.inspect(sql))
}

/// The datasets of a statement that must pass.
fn datasets(sql: &str) -> Vec<String> {
    match inspect(sql) {
        Ok(inspection) => inspection.datasets,
        Err(failure) => panic!("refused: {sql}\n{failure}"),
    }
}

fn refusal(sql: &str) -> String {
    match inspect(sql) {
        Err(failure) => {
            assert_eq!(failure.kind, FailureKind::Sql, "{sql}: {failure}");
            failure.message
        }
        Ok(inspection) => panic!("passed: {sql}\n{inspection:?}"),
    }
}

/// Statements an analyst writes, one construct after the other; all read `t` and nothing else.
const ORDINARY: &[&str] = &[
    "SELECT * FROM t",
    "FROM t",
    "TABLE t",
    "FROM t SELECT x WHERE y > 1",
    "SELECT * FROM main.t",
    "SELECT t.x, t.y.z, t.\"X\" FROM t AS t(x, y)",
    "SELECT x, count(*) FILTER (WHERE y > 1) FROM t GROUP BY x HAVING count(*) > 2 ORDER BY 2 DESC NULLS LAST LIMIT 10 OFFSET 5",
    "SELECT x FROM t GROUP BY ALL ORDER BY ALL LIMIT 10%",
    "SELECT grouping(x), x FROM t GROUP BY GROUPING SETS ((x), ()), ROLLUP (x), CUBE (y, z)",
    "SELECT DISTINCT ON (x) * FROM t QUALIFY row_number() OVER (PARTITION BY x ORDER BY y) = 1",
    "SELECT lag(x, 1, 2 IGNORE NULLS) OVER w, sum(DISTINCT x ORDER BY y) FILTER (WHERE z) FROM t WINDOW w AS (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING EXCLUDE TIES)",
    "SELECT * FROM t a JOIN t b USING (id) LEFT JOIN t c ON a.x = c.x CROSS JOIN t d NATURAL JOIN t e",
    "SELECT * FROM t a ASOF JOIN t b USING (ts) SEMI JOIN t c ON true ANTI JOIN t d ON true POSITIONAL JOIN t e",
    "SELECT * FROM t, LATERAL (SELECT t.x) l, unnest(t.y) u(z)",
    "SELECT * FROM t UNION ALL BY NAME SELECT * FROM t EXCEPT SELECT * FROM t INTERSECT SELECT * FROM t ORDER BY 1",
    "SELECT (SELECT max(x) FROM t), EXISTS (SELECT 1 FROM t), x IN (SELECT y FROM t), x = ANY (SELECT y FROM t) FROM t",
    "WITH c AS (SELECT * FROM t), d AS MATERIALIZED (SELECT * FROM c) SELECT * FROM d, c",
    "WITH RECURSIVE c(n) AS (SELECT min(x) FROM t UNION ALL SELECT n + 1 FROM c WHERE n < 10) SELECT sum(n) FROM c",
    "WITH RECURSIVE c USING KEY (a) AS (SELECT x AS a, 1 AS b FROM t UNION SELECT a, b + 1 FROM recurring.c WHERE b < 3) FROM c",
    "SELECT x FROM t WHERE x IN (WITH c AS (FROM t) SELECT y FROM c)",
    "SELECT CASE WHEN x THEN y ELSE z END, x BETWEEN 1 AND 2, x IS NULL, NOT x, x COLLATE nocase, x::DECIMAL(10, 2), TRY_CAST(x AS ENUM ('a')) FROM t",
    "SELECT x AT TIME ZONE 'Europe/Zurich', interval 3 day, date '2024-01-31', extract(year FROM x), x LIKE 'a%' ESCAPE '$', x SIMILAR TO 'y', x GLOB 'z' FROM t",
    "SELECT [x, y], {'a': x}, map {'k': x}, x[1], x[1:2:1], x.a.b, x->'$.a', x->>'b', [v + 1 FOR v IN x IF v > 1] FROM t",
    "SELECT list_transform(x, lambda v: v + 1), list_filter(x, v -> v > 1), x.upper().lower() FROM t",
    "SELECT * EXCLUDE (a) REPLACE (1 AS b) RENAME (c AS d), t.*, COLUMNS('x.*'), COLUMNS(* EXCLUDE (z)), COLUMNS(c -> c LIKE 'a%') FROM t",
    "SELECT coalesce(*COLUMNS(*)), if(a, b, c), nullif(a, b), ifnull(a, b), trim(BOTH 'x' FROM a) FROM t",
    "SELECT #1, x FROM t WHERE rowid = 1 ORDER BY #1",
    "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v(a, b), t",
    "FROM t PIVOT (sum(x) FOR y IN ('a', 'b') GROUP BY z)",
    "PIVOT t ON x IN (1, 2) USING sum(y) GROUP BY z",
    "UNPIVOT t ON a, b INTO NAME n VALUE v",
    "FROM t UNPIVOT INCLUDE NULLS (v FOR n IN (a, b))",
    "SELECT * FROM t TABLESAMPLE reservoir(10 ROWS) REPEATABLE (3)",
    "FROM t USING SAMPLE 10%",
    "SELECT * FROM range(10) WITH ORDINALITY, generate_series(1, 3) s(i), t",
    "SELECT unnest(x, recursive := true), generate_subscripts(y, 1), struct_pack(a := x) FROM t",
    "SELECT 1e400, -1e400, 'NaN'::DOUBLE, 170141183460469231731687303715884105727, 99999999999999999999999999999999999999999, 'x'::BLOB FROM t",
    "SELECT current_date, current_timestamp, now(), random(), uuid(), version(), today(), current_user FROM t",
    "SELECT approx_quantile(x, 0.5), string_agg(x, ',' ORDER BY y), histogram(x), arg_max(x, y), mode(x) FROM t",
    "SELECT system.main.abs(x), main.lower(y), pg_catalog.pg_typeof(z) FROM t",
    "DESCRIBE t",
    "DESCRIBE SELECT * FROM t",
    "SHOW t",
    "SUMMARIZE t",
    "SUMMARIZE SELECT x FROM t",
    "SELECT column_name FROM (DESCRIBE t) WHERE column_type = 'VARCHAR'",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN ANALYZE SELECT * FROM t",
    "explain (format json) from t",
    "/* a */ -- b\n explain (analyze, format json) /* c */ (SELECT x FROM t);",
    "SELECT x FROM t;",
    "  ;; SELECT x FROM t ;;  ",
];

#[test]
fn ordinary_statements_pass_and_say_what_they_read() {
    for sql in ORDINARY {
        assert_eq!(datasets(sql), ["t"], "{sql}");
    }
    assert_eq!(datasets("SELECT 1"), [""; 0]);
    assert_eq!(
        datasets("SELECT * FROM \"O'Brien's data\", 'wea.csv', \"日本\""),
        ["O'Brien's data", "wea.csv", "日本"]
    );
    assert_eq!(datasets("SELECT * FROM T, t, \"T\""), ["T", "t"]);
}

#[test]
fn a_cte_hides_a_dataset_exactly_where_it_can_be_seen() {
    // Not in itself, unless it is recursive, and there only in the second half.
    assert_eq!(datasets("WITH c AS (SELECT * FROM c) SELECT 1"), ["c"]);
    assert_eq!(datasets("WITH RECURSIVE c AS (SELECT * FROM c UNION ALL SELECT * FROM c) SELECT 1 FROM C"), ["c"]);
    // Not before it, not outside of its own query, not with a schema.
    assert_eq!(datasets("WITH a AS (FROM b), b AS (SELECT 1) FROM a, b"), ["b"]);
    assert_eq!(datasets("SELECT * FROM (WITH c AS (SELECT 1) FROM c) x, c"), ["c"]);
    assert_eq!(datasets("WITH c AS (SELECT 1) FROM main.c"), ["c"]);
    assert_eq!(datasets("WITH c AS (SELECT 1) SELECT (SELECT * FROM C), x FROM (FROM c)"), [""; 0]);
    // A CTE elsewhere is no excuse for a file.
    assert_eq!(
        datasets("SELECT * FROM (WITH \"/etc/passwd\" AS (SELECT 1) SELECT 1) x, '/etc/passwd'"),
        ["/etc/passwd"]
    );
    assert!(refusal("FROM recurring.c").contains("recurring.c"));
}

#[test]
fn show_tables_stands_alone() {
    let statement = |sql: &str| inspect(sql).unwrap().statement;
    assert_eq!(statement("SHOW TABLES"), Statement::ShowTables { expanded: false });
    assert_eq!(statement("show /* x */ tables;"), Statement::ShowTables { expanded: false });
    assert_eq!(statement("SHOW ALL TABLES"), Statement::ShowTables { expanded: true });
    assert_eq!(statement("DESCRIBE"), Statement::ShowTables { expanded: true });
    for sql in [
        "SELECT name FROM (SHOW TABLES)",
        "FROM (SHOW ALL TABLES) WHERE true",
        "EXPLAIN SHOW TABLES",
        "SHOW DATABASES",
        "SHOW SCHEMAS",
        "SHOW VARIABLES",
        "SHOW TABLES FROM main",
        "SELECT 1 FROM t WHERE x IN (FROM (DESCRIBE))",
    ] {
        assert!(refusal(sql).contains("SHOW TABLES"), "{sql}: {}", refusal(sql));
    }
}

#[test]
fn errors_are_duckdb_s_own_with_the_place() {
    let message = refusal("SELEC 1");
    assert!(message.starts_with("Parser Error: syntax error at or near \"SELEC\""), "{message}");
    assert!(message.contains("LINE 1: SELEC 1\n        ^"), "{message}");
    assert!(refusal("SELECT * FROM").starts_with("Parser Error"));
    assert!(refusal("SELECT 'a").starts_with("Parser Error"));
    assert!(refusal("EXPLAIN SELEC 1").starts_with("Parser Error"));
    // A function that nobody has is left to DuckDB, which knows what was meant.
    assert_eq!(datasets("SELECT nosuchfunction(1)"), [""; 0]);
}

#[test]
fn refusals_say_what_would_do() {
    for (sql, hint) in [
        ("", "empty"),
        (" ; ", "empty"),
        ("-- nothing", "empty"),
        ("/* nothing", "Parser Error"),
        ("SELECT 1; SELECT 2", "one statement at a time; this text has 2"),
        ("SELECT 1; DROP VIEW t", "only one statement that reads"),
        ("SELECT ?", "parameters"),
        ("SELECT $1", "parameters"),
        ("SELECT $name", "parameters"),
        ("DELETE FROM t", "begins with DELETE"),
        ("PIVOT t ON x USING sum(y)", "IN (value"),
        ("SELECT * FROM t AT (VERSION => 1)", "as they are now"),
        ("SELECT * FROM information_schema.tables", "`information_schema.tables`: only datasets"),
        ("SELECT * FROM a.b.c", "`a.b.c`: only datasets"),
        ("SELECT * FROM data.csv", "double quotes"),
        ("SELECT * FROM read_csv('x')", "`read_csv` is not allowed"),
        ("SELECT * FROM nosuch(1)", "no table function `nosuch`"),
        ("SELECT current_setting('threads')", "`current_setting` is not allowed"),
        ("EXPLAIN (FORMAT evil) SELECT 1", "EXPLAIN takes"),
        ("SELECT '\0'", "NUL"),
    ] {
        let message = refusal(sql);
        assert!(message.contains(hint), "{sql}: {message}");
    }
}

/// Every function of this DuckDB, with the verdict on it. A new version brings new ones, and
/// somebody has to look at them; a build without some extension may lack a few.
#[test]
fn the_verdict_on_every_function_is_written_down() {
    let known: std::collections::HashSet<&str> = include_str!("../../tests/functions.txt").lines().collect();
    let functions = GATE.with(|gate| {
        let sql = "SELECT DISTINCT lower(function_name), \
                   CASE WHEN function_type IN ('scalar', 'aggregate', 'macro') THEN 'call' ELSE 'from' END \
                   FROM duckdb_functions() WHERE function_type <> 'pragma' ORDER BY ALL";
        let verdict = |row: Vec<Option<String>>| {
            let (name, place) = (row[0].as_deref().unwrap(), row[1].as_deref().unwrap());
            let verdict =
                if place == "call" { gate.functions.check_scalar(name) } else { gate.functions.check_table(name) };
            format!("{} {place} {name}", if verdict.is_ok() { "allowed" } else { "refused" })
        };
        gate.connection.texts(sql, &[]).unwrap().into_iter().map(verdict).collect::<Vec<_>>()
    });
    let new: Vec<_> = functions.iter().filter(|line| !known.contains(line.as_str())).collect();
    assert!(new.is_empty(), "not in tests/functions.txt:\n{new:#?}");
    assert!(functions.len() > 800, "{} functions", functions.len());
}

/// Every kind of node in the tree of every ordinary statement is on the list: nothing passes
/// because nobody looked. Each one is given a field that nobody knows, and must be refused.
#[test]
fn an_unknown_field_is_refused_wherever_it_stands() {
    let mut nodes = 0;
    for sql in ORDINARY.iter().filter(|sql| !sql.to_lowercase().contains("explain")) {
        let tree = GATE.with(|gate| gate.parse(sql).unwrap());
        let count = count_nodes(&tree);
        for index in 0..count {
            let mut changed = tree.clone();
            mark_node(&mut changed, &mut { index });
            let verdict = GATE.with(|gate| tree::datasets(&changed["statements"][0], &gate.functions));
            assert!(verdict.is_err(), "node {index} of {sql}:\n{changed}");
            nodes += 1;
        }
    }
    assert!(nodes > 500, "{nodes} nodes");
}

fn is_node(value: &serde_json::Value) -> bool {
    value.get("query_location").is_some() || value.get("cte_map").is_some()
}

fn count_nodes(value: &serde_json::Value) -> usize {
    let children = match value {
        serde_json::Value::Array(items) => items.iter().map(count_nodes).sum(),
        serde_json::Value::Object(map) => map.values().map(count_nodes).sum(),
        _ => 0,
    };
    children + usize::from(is_node(value))
}

/// Adds the field to node number `index`, counted in the order of the walk.
fn mark_node(value: &mut serde_json::Value, index: &mut usize) {
    if is_node(value) {
        if *index == 0 {
            value["surprise"] = serde_json::json!({"class": "FUNCTION", "function_name": "read_text"});
            *index = usize::MAX;
            return;
        }
        *index = index.saturating_sub(1);
    }
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| mark_node(item, index)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|item| mark_node(item, index)),
        _ => {}
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let deep = |open: &str, close: &str, n: usize| format!("SELECT {}1{}", open.repeat(n), close.repeat(n));
    let statements = [
        deep("(", ")", 30_000),
        deep("NOT ", "", 15_000),
        deep("- ", "", 30_000),
        deep("[", "]", 30_000),
        deep("abs(", ")", 10_000),
        deep("CASE WHEN true THEN ", " END", 2_400),
        deep("(SELECT ", ")", 7_000),
        deep("1+", "", 30_000),
        deep("{'a':", "}", 10_000),
        format!("SELECT {}", vec!["1"; 3_000].join(" OR ")),
        format!("{}SELECT 1{}", "SELECT * FROM (".repeat(4_000), ")".repeat(4_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_300)),
        format!("WITH {} SELECT 1", (0..2_500).map(|i| format!("c{i} AS (SELECT 1)")).collect::<Vec<_>>().join(", ")),
    ];
    let worker = std::thread::Builder::new().stack_size(crate::worker::STACK).spawn(move || {
        for sql in &statements {
            // Whether it passes is a matter of limits; that there is an answer is the point.
            if let Err(failure) = inspect(sql) {
                assert!(!failure.message.is_empty());
            }
        }
    });
    worker.unwrap().join().unwrap();
}

/// What passes is one statement that reads, in DuckDB's own judgement, however it was mangled.
fn assert_harmless(sql: &str) {
    let Ok(inspection) = inspect(sql) else { return };
    let Statement::Sql(text) = inspection.statement else { return };
    GATE.with(|gate| {
        // Only what binds without any dataset can be prepared here; the rest has its names checked.
        if let Ok(prepared) = gate.connection.prepare(&text) {
            assert_ne!(prepared.kind(), crate::duck::StatementKind::Other, "{sql}");
            assert_eq!(prepared.parameters(), 0, "{sql}");
        }
    });
    for name in inspection.datasets {
        assert!(!name.is_empty(), "{sql}");
    }
}

const SEEDS: &[&str] = &[
    "COPY (SELECT 1) TO 'x.csv'",
    "ATTACH ':memory:' AS a",
    "CREATE OR REPLACE VIEW t AS SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "WITH c AS (SELECT 1) SELECT * FROM c; DROP VIEW t",
    "SET memory_limit = '1TB'",
    "PRAGMA version",
    "CALL pragma_version()",
    "INSTALL httpfs",
    "SELECT getvariable('x'), current_setting('y')",
    "INSERT INTO t VALUES (1)",
    "PREPARE p AS SELECT 1",
    "EXPORT DATABASE 'x'",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Words of hostile and of harmless statements, put together anyhow.
    #[test]
    fn no_mixture_of_words_passes_as_something_that_writes(
        parts in prop::collection::vec((0..SEEDS.len() + ORDINARY.len(), 0_usize..40, 1_usize..12), 1..4),
        glue in prop::sample::select(vec![" ", ";", "\n", "/**/", " UNION ALL ", " FROM ", "(", ")", "--\n", "\u{a0}"]),
    ) {
        let pieces: Vec<String> = parts.iter().map(|(seed, from, count)| {
            let text = SEEDS.get(*seed).copied().unwrap_or_else(|| ORDINARY[seed - SEEDS.len()]);
            let words: Vec<&str> = text.split(' ').collect();
            words.iter().cycle().skip(from % words.len()).take(*count).copied().collect::<Vec<_>>().join(" ")
        }).collect();
        assert_harmless(&pieces.join(glue));
    }

    /// Hostile statements with characters changed, added and removed.
    #[test]
    fn no_mutation_of_a_hostile_statement_passes_as_something_that_writes(
        seed in 0..SEEDS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, "[ ;()'\"\\-/*$a-zA-Z\u{a0}\u{200b}é\0]"), 1..6),
        prefix in prop::sample::select(vec!["", "EXPLAIN ", "SELECT 1; ", "/* ", "-- ", "WITH x AS (", "FROM (", "("]),
    ) {
        let mut text: Vec<char> = format!("{prefix}{}", SEEDS[seed]).chars().collect();
        for (index, edit, new) in &edits {
            let at = index.index(text.len().max(1)).min(text.len().saturating_sub(1));
            let new = new.chars().next().unwrap_or(' ');
            match edit {
                0 if !text.is_empty() => { text.remove(at); }
                1 if !text.is_empty() => text[at] = new,
                _ => text.insert(at, new),
            }
        }
        assert_harmless(&text.into_iter().collect::<String>());
    }

    /// Trees that no parser made: the walk gives a verdict on anything.
    #[test]
    fn the_walk_takes_any_tree(seed in 0..ORDINARY.len(), cut in any::<prop::sample::Index>(), new in 0_u8..5) {
        let sql = ORDINARY[seed];
        prop_assume!(!sql.to_lowercase().contains("explain"));
        let text = GATE.with(|gate| gate.parse(sql).unwrap()).to_string();
        let replacement = ["null", "[]", "{}", "\"x\"", "{\"class\":\"FUNCTION\"}"][usize::from(new)];
        // Somewhere after a colon stands a value: it is replaced up to the next comma.
        let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at + 1).collect();
        let at = colons[cut.index(colons.len())];
        let end = text[at..].find([',', '}', ']']).map_or(text.len(), |end| at + end);
        let mangled = format!("{}{replacement}{}", &text[..at], &text[end..]);
        if let Ok(tree) = serde_json::from_str::<serde_json::Value>(&mangled) {
            GATE.with(|gate| drop(tree::datasets(&tree["statements"][0], &gate.functions)));
        }
    }
}
