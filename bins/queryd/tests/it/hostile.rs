//! Statements that try to read, write or change what they may not, each with its outcome. After
//! each one the files are as they were and the next caller sees what it saw before.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::service::Service;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// 400, before anything runs.
    Refused,
    /// 200: it is allowed, and does no harm.
    Harmless,
}
use Expect::{Harmless, Refused};

/// `{cache}`, `{file}` (a file in it, relative), `{spill}` and `{outside}` (a directory with a
/// file `secret.txt`) stand for paths of this machine.
const HOSTILE: &[(Expect, &str)] = &[
    // Writing files.
    (Refused, "COPY (SELECT 1) TO '{outside}/x.csv'"),
    (Refused, "COPY (SELECT 1) TO '{cache}/files/x.parquet'"),
    (Refused, "COPY (SELECT 1) TO 'files/x.parquet' (FORMAT parquet)"),
    (Refused, "COPY (SELECT 1) TO '{spill}/x.csv'"),
    (Refused, "COPY (SELECT 1) TO '/dev/stdout'"),
    (Refused, "COPY (SELECT 1) TO '/dev/fd/0'"),
    (Refused, "COPY victim TO '{outside}/x.csv'"),
    (Refused, "COPY victim FROM '{outside}/secret.txt'"),
    (Refused, "COPY FROM DATABASE memory TO memory"),
    (Refused, "EXPORT DATABASE '{outside}/dump'"),
    (Refused, "EXPORT DATABASE '{cache}/dump' (FORMAT parquet)"),
    (Refused, "IMPORT DATABASE '{outside}'"),
    (Refused, "EXPLAIN ANALYZE COPY (SELECT 1) TO '{cache}/files/x.parquet'"),
    (Refused, "EXPLAIN COPY (SELECT 1) TO 'x'"),
    (Refused, "EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO 'files/x'"),
    (Refused, "EXPLAIN (ANALYZE) EXPLAIN ANALYZE COPY (SELECT 1) TO 'files/x'"),
    (Refused, "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1"),
    (Refused, "WITH c AS (COPY (SELECT 1) TO 'files/x') SELECT * FROM c"),
    (Refused, "WITH c AS (INSERT INTO victim VALUES (1) RETURNING *) SELECT * FROM c"),
    (Refused, "SELECT * FROM (COPY (SELECT 1) TO 'files/x')"),
    // Attaching, installing, loading.
    (Refused, "ATTACH '{cache}/x.db'"),
    (Refused, "ATTACH ':memory:' AS m"),
    (Refused, "ATTACH '{outside}/secret.txt' AS s (READ_ONLY)"),
    (Refused, "ATTACH 'https://example.com/x.db'"),
    (Refused, "DETACH memory"),
    (Refused, "USE memory"),
    (Refused, "INSTALL httpfs"),
    (Refused, "FORCE INSTALL spatial FROM community"),
    (Refused, "LOAD httpfs"),
    (Refused, "LOAD '{cache}/files/x.duckdb_extension'"),
    (Refused, "UPDATE EXTENSIONS"),
    (Refused, "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')"),
    (Refused, "DROP SECRET s"),
    // Changing the catalog.
    (Refused, "CREATE OR REPLACE VIEW victim AS SELECT 'poison'"),
    (Refused, "CREATE TEMP VIEW victim AS SELECT 'poison'"),
    (Refused, "CREATE TABLE t (i INTEGER)"),
    (Refused, "CREATE TABLE t AS FROM victim"),
    (Refused, "CREATE SCHEMA s"),
    (Refused, "CREATE SEQUENCE s"),
    (Refused, "CREATE TYPE t AS ENUM ('a')"),
    (Refused, "CREATE MACRO abs(x) AS 'poison'"),
    (Refused, "CREATE OR REPLACE TEMP MACRO upper(x) AS (SELECT 'poison')"),
    (Refused, "CREATE INDEX i ON victim (id)"),
    (Refused, "DROP VIEW victim"),
    (Refused, "DROP VIEW IF EXISTS victim CASCADE"),
    (Refused, "ALTER VIEW victim RENAME TO gone"),
    (Refused, "COMMENT ON VIEW victim IS 'poison'"),
    (Refused, "INSERT INTO victim VALUES (1, 'x', 2)"),
    (Refused, "UPDATE victim SET id = 1"),
    (Refused, "DELETE FROM victim"),
    (Refused, "TRUNCATE victim"),
    (Refused, "MERGE INTO victim USING victim v ON v.id = victim.id WHEN MATCHED THEN DELETE"),
    (Refused, "PREPARE p AS SELECT 1"),
    (Refused, "EXECUTE p"),
    (Refused, "DEALLOCATE p"),
    (Refused, "BEGIN TRANSACTION"),
    (Refused, "COMMIT"),
    (Refused, "ROLLBACK"),
    (Refused, "CHECKPOINT"),
    (Refused, "FORCE CHECKPOINT"),
    (Refused, "VACUUM"),
    (Refused, "ANALYZE"),
    (Refused, "CALL force_checkpoint()"),
    (Refused, "CALL pragma_version()"),
    (Refused, "CALL enable_logging('QueryLog')"),
    // Changing settings.
    (Refused, "SET memory_limit = '1TB'"),
    (Refused, "SET GLOBAL threads = 1000"),
    (Refused, "SET SESSION search_path = 'temp'"),
    (Refused, "SET lock_configuration = false"),
    (Refused, "SET enable_external_access = true"),
    (Refused, "SET allowed_directories = ['/']"),
    (Refused, "SET temp_directory = '{outside}'"),
    (Refused, "SET VARIABLE x = 1"),
    (Refused, "RESET memory_limit"),
    (Refused, "RESET ALL"),
    (Refused, "PRAGMA memory_limit = '1TB'"),
    (Refused, "PRAGMA version"),
    (Refused, "PRAGMA database_list"),
    (Refused, "PRAGMA enable_profiling"),
    (Refused, "PRAGMA profiling_output = '{outside}/p.json'"),
    (Refused, "PRAGMA table_info('victim')"),
    (Refused, "PRAGMA show_tables"),
    // Reading files.
    (Refused, "SELECT * FROM read_csv('/etc/passwd')"),
    (Refused, "SELECT * FROM read_csv_auto('{outside}/secret.txt')"),
    (Refused, "SELECT * FROM read_text('/etc/passwd')"),
    (Refused, "SELECT * FROM read_blob('{outside}/secret.txt')"),
    (Refused, "SELECT * FROM read_json('{outside}/secret.txt')"),
    (Refused, "SELECT * FROM read_ndjson_objects('{outside}/secret.txt')"),
    (Refused, "SELECT * FROM read_parquet('{cache}/{file}')"),
    (Refused, "SELECT * FROM read_parquet('{file}')"),
    (Refused, "SELECT * FROM parquet_scan(['{file}'])"),
    (Refused, "SELECT * FROM READ_PARQUET('{file}')"),
    (Refused, "SELECT * FROM \"read_parquet\"('{file}')"),
    (Refused, "SELECT * FROM main.read_parquet('{file}')"),
    (Refused, "SELECT * FROM system.main.read_text('/etc/passwd')"),
    (Refused, "SELECT * FROM read_duckdb('{outside}/secret.txt')"),
    (Refused, "SELECT * FROM parquet_metadata('{file}')"),
    (Refused, "SELECT * FROM parquet_schema('{file}')"),
    (Refused, "SELECT * FROM parquet_kv_metadata('{file}')"),
    (Refused, "SELECT * FROM glob('{cache}/*')"),
    (Refused, "SELECT * FROM glob('/etc/*')"),
    (Refused, "SELECT * FROM sniff_csv('/etc/passwd')"),
    (Refused, "SELECT * FROM '/etc/passwd'"),
    (Refused, "SELECT * FROM \"/etc/passwd\""),
    (Refused, "SELECT * FROM '{cache}/{file}'"),
    (Refused, "SELECT * FROM '{file}'"),
    (Refused, "SELECT * FROM 'files/*.parquet'"),
    (Refused, "SELECT * FROM './../../../../etc/passwd.csv'"),
    (Refused, "SELECT * FROM 'https://example.com/x.parquet'"),
    (Refused, "SELECT * FROM 's3://bucket/x.parquet'"),
    (Refused, "FROM '/etc/passwd'"),
    (Refused, "TABLE \"/etc/passwd\""),
    (Refused, "DESCRIBE '{file}'"),
    (Refused, "SUMMARIZE '{file}'"),
    (Refused, "DESCRIBE SELECT * FROM read_text('/etc/passwd')"),
    (Refused, "SUMMARIZE FROM glob('/etc/*')"),
    (Refused, "PIVOT '{file}' ON id IN (1) USING sum(value)"),
    (Refused, "UNPIVOT '{file}' ON id INTO NAME n VALUE v"),
    (Refused, "SELECT (SELECT content FROM read_text('/etc/passwd'))"),
    (Refused, "SELECT EXISTS (FROM read_text('/etc/passwd'))"),
    (Refused, "SELECT 1 WHERE 1 IN (SELECT 1 FROM '/etc/passwd')"),
    (Refused, "SELECT 1 ORDER BY (SELECT count(*) FROM glob('*'))"),
    (Refused, "SELECT 1 LIMIT (SELECT count(*) FROM glob('*'))"),
    (Refused, "SELECT sum(1) OVER (ORDER BY (SELECT count(*) FROM glob('*')))"),
    (Refused, "SELECT sum(1) FILTER (WHERE EXISTS (FROM glob('*')))"),
    (Refused, "SELECT CASE WHEN true THEN (SELECT count(*) FROM glob('*')) END"),
    (Refused, "SELECT list_transform([1], lambda x: (SELECT count(*) FROM glob('*')))"),
    (Refused, "SELECT * REPLACE ((SELECT count(*) FROM glob('*')) AS id) FROM victim"),
    (Refused, "SELECT * FROM victim JOIN victim v ON EXISTS (FROM glob('*'))"),
    (Refused, "SELECT * FROM victim, LATERAL (FROM glob(victim.name))"),
    (Refused, "SELECT * FROM range((SELECT count(*) FROM glob('*')))"),
    (Refused, "SELECT * FROM (VALUES ((SELECT count(*) FROM glob('*'))))"),
    (Refused, "SELECT 1 UNION ALL SELECT count(*) FROM glob('*')"),
    (Refused, "WITH c AS (FROM glob('*')) SELECT 1"),
    (Refused, "WITH RECURSIVE c AS (SELECT 1 UNION SELECT count(*) FROM glob('*')) FROM c"),
    (Refused, "WITH c AS (SELECT 1) SELECT * FROM (WITH \"/etc/passwd\" AS (SELECT 1) SELECT 1), '/etc/passwd'"),
    (Refused, "SELECT * FROM victim GROUP BY GROUPING SETS (((SELECT count(*) FROM glob('*'))))"),
    (Refused, "SELECT * FROM victim QUALIFY row_number() OVER () < (SELECT count(*) FROM glob('*'))"),
    (Refused, "SELECT COLUMNS(c -> c IN (FROM glob('*'))) FROM victim"),
    // Reading through functions that take SQL, or names.
    (Refused, "SELECT * FROM query('SELECT 1')"),
    (Refused, "SELECT * FROM query('COPY (SELECT 1) TO ''files/x''')"),
    (Refused, "SELECT * FROM query_table('victim')"),
    (Refused, "SELECT * FROM query_table(['/etc/passwd'])"),
    (Refused, "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))"),
    (Refused, "SELECT json_serialize_plan('SELECT * FROM read_text(''/etc/passwd'')')"),
    (Refused, "SELECT json_deserialize_sql('{{}}')"),
    (Refused, "SELECT * FROM histogram_values('/etc/passwd', column0)"),
    (Refused, "SELECT * FROM seq_scan('victim')"),
    (Refused, "SELECT * FROM sql_auto_complete('SEL')"),
    (Refused, "SELECT read_text('/etc/passwd')"),
    (Refused, "SELECT '/etc/passwd'.read_text()"),
    // Looking around.
    (Refused, "SELECT getenv('HOME')"),
    (Refused, "SELECT current_setting('temp_directory')"),
    (Refused, "SELECT getvariable('x')"),
    (Refused, "SELECT * FROM duckdb_settings()"),
    (Refused, "SELECT * FROM duckdb_views()"),
    (Refused, "SELECT sql FROM duckdb_views"),
    (Refused, "SELECT * FROM duckdb_secrets()"),
    (Refused, "SELECT * FROM duckdb_temporary_files()"),
    (Refused, "SELECT * FROM duckdb_external_file_cache()"),
    (Refused, "SELECT * FROM duckdb_databases()"),
    (Refused, "SELECT * FROM pragma_database_size()"),
    (Refused, "SELECT * FROM pragma_table_info('victim')"),
    (Refused, "SELECT * FROM information_schema.tables"),
    (Refused, "SELECT * FROM pg_catalog.pg_views"),
    (Refused, "SELECT * FROM pg_views"),
    (Refused, "SELECT * FROM sqlite_master"),
    (Refused, "SELECT pg_get_viewdef(1)"),
    (Refused, "SELECT get_block_size('memory')"),
    (Refused, "SHOW DATABASES"),
    (Refused, "SHOW VARIABLES"),
    (Refused, "SHOW TABLES FROM memory"),
    (Refused, "SELECT * FROM (SHOW TABLES)"),
    (Refused, "SELECT * FROM memory.main.victim"),
    (Refused, "SELECT * FROM temp.victim"),
    (Refused, "SELECT * FROM victim AT (VERSION => 1)"),
    // Leaving something behind for the next, or holding it up.
    (Refused, "SELECT nextval('s')"),
    (Refused, "SELECT setseed(0.5)"),
    (Refused, "SELECT write_log('x')"),
    (Refused, "SELECT pg_sleep(1000)"),
    (Refused, "SELECT sleep_ms(1000000)"),
    (Refused, "SELECT * FROM enable_logging()"),
    (Refused, "SELECT * FROM enable_peg_parser()"),
    (Refused, "SELECT * FROM enable_profiling()"),
    (Refused, "SELECT * FROM checkpoint()"),
    (Refused, "SELECT * FROM truncate_duckdb_logs()"),
    // Taking internals apart.
    (Refused, "SELECT __internal_decompress_string('x')"),
    (Refused, "SELECT finalize('\\xFF'::BLOB)"),
    (Refused, "SELECT sum(id) EXPORT_STATE FROM victim"),
    (Refused, "SELECT create_sort_key(1, 'ASC')"),
    (Refused, "SELECT * FROM arrow_scan(1, 2, 3)"),
    (Refused, "SELECT * FROM arrow_scan_dumb(1::UBIGINT, 2::UBIGINT, 3::UBIGINT)"),
    // More than one statement.
    (Refused, "SELECT 1; SELECT 2"),
    (Refused, "SELECT 1; DROP VIEW victim"),
    (Refused, "SELECT 1;; COPY (SELECT 1) TO 'files/x'"),
    (Refused, "SELECT 1/**/;/**/CREATE TABLE t (i INTEGER)"),
    (Refused, "SELECT 1 --\n; DROP VIEW victim"),
    (Refused, "SELECT 1 --\r; DROP VIEW victim"),
    (Refused, "SELECT 1 /* ; */ ; DROP VIEW victim"),
    (Refused, "SELECT 1 /* /* */ */; DROP VIEW victim -- */"),
    (Refused, "EXPLAIN SELECT 1; DROP VIEW victim"),
    (Refused, "; DROP VIEW victim"),
    (Refused, "SELECT $$ $$; DROP VIEW victim; SELECT $$ $$"),
    (Refused, "SELECT E'\\'; DROP VIEW victim; --'; DROP VIEW victim"),
    // The same in other letters.
    (Refused, "cOpY (SELECT 1) tO 'files/x'"),
    (Refused, "/* SELECT */ DROP VIEW victim"),
    (Refused, "-- SELECT 1\nDROP VIEW victim"),
    (Refused, "\u{feff}DROP VIEW victim"),
    (Refused, "\u{a0}DROP\u{a0}VIEW\u{a0}victim"),
    (Refused, "\u{200b}DROP VIEW victim"),
    (Refused, "DROP\u{2003}VIEW victim"),
    (Refused, "\u{202e}DROP VIEW victim"),
    (Refused, "ＤＲＯＰ VIEW victim"),
    (Refused, "SELECT 1；DROP VIEW victim"),
    (Refused, "SELECT * FROM rеad_text('/etc/passwd')"),
    (Refused, "SELECT * FROM U&\"read\\005Ftext\"('/etc/passwd')"),
    (Refused, "SELECT * FROM ſniff_csv('/etc/passwd')"),
    (Refused, "SELECT '\0'; DROP VIEW victim"),
    (Refused, "SELECT 1\0; DROP VIEW victim"),
    (Refused, "SELECT * FROM victim WHERE name = '' OR '1'='1'; DROP VIEW victim; --'"),
    // Parameters, which would have to come from somewhere.
    (Refused, "SELECT ?"),
    (Refused, "SELECT $1"),
    (Refused, "SELECT * FROM read_text($path)"),
    // What looks hostile and is not.
    (Harmless, "SELECT 'DROP VIEW victim; COPY x TO y'"),
    (Harmless, "SELECT 1 AS \"; DROP VIEW victim; --\""),
    (Harmless, "SELECT 1 /* ; DROP VIEW victim */"),
    (Harmless, "SELECT 1; -- DROP VIEW victim"),
    (Harmless, "SELECT 1 /* /* */ ; DROP VIEW victim -- */"),
    (Harmless, "WITH victim AS (SELECT 'shadow') SELECT * FROM victim"),
    (Harmless, "WITH read_text AS (SELECT 1) SELECT * FROM read_text"),
    (Harmless, "SELECT * FROM (SELECT 1) AS \"/etc/passwd\""),
    (Harmless, "WITH \"/etc/passwd\" AS (SELECT 1) FROM '/etc/passwd'"),
    (Harmless, "SELECT id AS \"read_text('/etc/passwd')\" FROM victim"),
    (Harmless, "SELECT parse_path('/etc/passwd'), parse_filename('{cache}/x')"),
    (Harmless, "SELECT '{outside}/secret.txt', 'file:///etc/passwd'::VARCHAR"),
    (Harmless, "SELECT current_user, current_database(), current_schema(), version()"),
    (Harmless, "EXPLAIN ANALYZE SELECT * FROM victim"),
    (Harmless, "EXPLAIN (FORMAT json) SELECT * FROM victim"),
    (Harmless, "SELECT error FROM (SELECT 'x' AS error)"),
    (Harmless, "\u{feff}SELECT 1"),
];

/// Every file under `directory`, with a hash of its content.
fn listing(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let hash = hex::encode(Sha256::digest(fs::read(&path).unwrap()));
                files.insert(path, hash);
            }
        }
    }
    files
}

/// What a caller sees: data, names, settings that show.
async fn view(service: &Service) -> Vec<Value> {
    let mut seen = Vec::new();
    for sql in [
        "SELECT count(*), sum(id), min(name), max(value) FROM victim",
        "SELECT column_name, column_type FROM (DESCRIBE victim)",
        "SHOW TABLES",
        "SELECT abs(-1), upper('a'), current_schema(), current_database()",
        "EXPLAIN SELECT id FROM victim WHERE id = 7",
    ] {
        seen.push(service.rows(sql).await);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_statement_has_its_outcome_and_changes_nothing() {
    assert!(HOSTILE.len() >= 100, "{} statements", HOSTILE.len());
    // One worker, so that what one statement leaves behind the next one meets.
    let service = Service::start_with(|options| options.max_concurrent = 1).await;
    service.lake.put("victim", 0, 1_000).await;
    service.lake.put("bystander", 0, 10).await;
    let root = service.directory.path().canonicalize().unwrap();
    let outside = root.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.txt"), "secret,treasure\n1,2\n").unwrap();
    let before_view = view(&service).await;
    let before_files = listing(&root);
    let file = before_files.keys().find(|path| path.extension().is_some_and(|end| end == "parquet")).unwrap();
    let file = file.strip_prefix(root.join("cache")).unwrap().display().to_string();
    let path = |name: &str| root.join(name).display().to_string();
    for (expect, template) in HOSTILE {
        let sql = template
            .replace("{cache}", &path("cache"))
            .replace("{spill}", &path("spill"))
            .replace("{outside}", &path("outside"))
            .replace("{file}", &file)
            .replace("{{}}", "{}");
        let answer = service.sql(&sql).await;
        let text = answer.text();
        match expect {
            Refused => {
                assert_eq!(answer.status, 400, "{sql}: {text}");
                assert!(!answer.detail().is_empty(), "{sql}");
            }
            Harmless => assert_eq!(answer.status, 200, "{sql}: {text}"),
        }
        for secret in ["treasure", "root:x:0"] {
            assert!(!text.contains(secret), "{sql}: {text}");
        }
        // A path comes back only where the caller sent it.
        assert!(!text.contains(root.to_str().unwrap()) || sql.contains(root.to_str().unwrap()), "{sql}: {text}");
        assert_eq!(listing(&root), before_files, "{sql}");
    }
    assert_eq!(view(&service).await, before_view);
    assert_eq!(service.engine.stats().running, 0);
}

/// After each statement, not only after all: what one breaks another could mend.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_caller_sees_what_it_saw_before() {
    let service = Service::start_with(|options| options.max_concurrent = 1).await;
    service.lake.put("victim", 0, 1_000).await;
    let before = view(&service).await;
    let writers = HOSTILE.iter().filter(|(_, sql)| {
        ["CREATE", "DROP", "SET", "USE", "ATTACH", "ALTER", "WITH", "PREPARE", "BEGIN", "CALL", "PRAGMA"]
            .iter()
            .any(|word| sql.starts_with(word))
    });
    for (_, sql) in writers {
        service.sql(sql).await;
        assert_eq!(view(&service).await, before, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_about_datasets_that_were_asked_for() {
    let service = Service::start().await;
    service.lake.put("victim", 0, 3).await;
    // A name that two callers mean differently: a dataset for one, a CTE for the other.
    let shadow = "WITH victim AS (SELECT 'shadow' AS name) SELECT name FROM victim";
    for _ in 0..3 {
        assert_eq!(service.rows(shadow).await, json!([["shadow"]]));
        assert_eq!(service.rows("SELECT name FROM victim WHERE id = 1").await, json!([["n1"]]));
    }
}
