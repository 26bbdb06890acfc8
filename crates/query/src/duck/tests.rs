use super::*;

fn connection() -> Connection {
    Database::open().unwrap().connect().unwrap()
}

fn keywords(connection: &Connection) -> Keywords {
    let words = connection.texts("SELECT lower(keyword_name) FROM duckdb_keywords()", &[]).unwrap();
    words.into_iter().flatten().flatten().collect()
}

/// The name of every type is the one that DuckDB gives it.
#[test]
fn type_names_are_duckdb_s_own() {
    let connection = connection();
    let keywords = keywords(&connection);
    let expected =
        connection.texts("SELECT column_name, column_type FROM (DESCRIBE FROM test_all_types())", &[]).unwrap();
    assert!(expected.len() > 50, "{} types", expected.len());
    let stream = connection.prepare("FROM test_all_types()").unwrap().stream(&keywords).unwrap();
    for (column, row) in stream.columns().iter().zip(&expected) {
        assert_eq!((Some(&column.name), Some(&column.type_name)), (row[0].as_ref(), row[1].as_ref()));
    }
    for sql in [
        "'{}'::JSON",
        "{'a b': 1, 'c\"d': 2, 'select': 3, 'A1': 4, '1a': 5, 'é': 6}",
        "row(1, 'x')",
        "union_value(name := 1)",
        "'x'::ENUM('x', 'it''s')",
        "[map {'a': [1.5]}]",
        "[[1, 2], [3, 4]]::INTEGER[2][2]",
    ] {
        let name = connection.texts(&format!("SELECT typeof({sql})"), &[]).unwrap()[0][0].clone();
        let stream = connection.prepare(&format!("SELECT {sql}")).unwrap().stream(&keywords).unwrap();
        assert_eq!(Some(stream.columns()[0].type_name.clone()), name, "{sql}");
    }
}

#[test]
fn failures_have_their_kind() {
    let connection = connection();
    let kind = |sql: &str| match connection.prepare(sql) {
        Err(failure) => failure.kind,
        Ok(statement) => {
            statement.stream(&Keywords::default()).and_then(|mut rows| rows.next_chunk()).unwrap_err().kind
        }
    };
    assert_eq!(kind("SELEC 1"), FailureKind::Sql);
    assert_eq!(kind("SELECT 'x'::INTEGER"), FailureKind::Sql);
    assert_eq!(kind("SELECT error('no')"), FailureKind::Sql);
    assert_eq!(kind("FROM read_csv('/nowhere/at/all.csv')"), FailureKind::Io);
    assert_eq!(kind("SELECT 1; SELECT 2"), FailureKind::Sql);
    assert_eq!(kind("SELECT '\0'"), FailureKind::Sql);
    connection.execute("SET memory_limit = '10MB'").unwrap();
    connection.execute("SET temp_directory = ''").unwrap();
    assert_eq!(kind("SELECT list(range) FROM range(100000000)"), FailureKind::Memory);
}

#[test]
fn an_allocation_that_fails_is_memory_and_no_bug() {
    let kind = |message: &str| Failure::from_message(Some(message.to_owned())).kind;
    for said in [
        "Memory allocation failure",
        "Requested allocation size of 400000000000000 is out of range - maximum allocation size is 281474976710656",
        "vector::_M_default_append",
        "std::bad_alloc",
    ] {
        let trace = "\n\nStack Trace:\n\n/usr/lib/libduckdb.so(duckdb::PipelineTask::ExecuteTask()+0xd2)";
        assert_eq!(kind(&format!("INTERNAL Error: {said}{trace}")), FailureKind::Memory, "{said}");
    }
    let bug = "INTERNAL Error: Unoptimized selectivity\n\nStack Trace:\n\n/x(std::bad_alloc, duckdb::vector::x)";
    assert_eq!(kind(bug), FailureKind::Internal);
    // The statement's own words decide nothing.
    assert_eq!(kind("Invalid Input Error: Memory allocation failure"), FailureKind::Sql);
}

/// A value that a message quotes can be longer than any frame.
#[test]
fn a_long_message_is_cut_and_keeps_its_beginning_and_its_place() {
    let connection = connection();
    let message = |sql: &str| {
        let started = connection.prepare(sql).and_then(|statement| statement.stream(&Keywords::default()));
        started.and_then(|mut rows| rows.next_chunk()).unwrap_err().message
    };
    let value = message("SELECT repeat('é', 1000000)::INTEGER");
    assert!(value.starts_with("Conversion Error: Could not convert string 'éé"), "{}", &value[..80]);
    assert!(value.contains("é .. (1991") && value.contains(" more bytes)\n\nLINE 1: SELECT repeat("), "{value}");
    assert!(value.len() < 9_000, "{} bytes", value.len());
    let short = message("SELECT 'x'::INTEGER");
    assert!(short.len() < 200 && short.ends_with('^'), "{short}");
}

#[test]
fn statements_say_what_they_are() {
    let connection = connection();
    let kind = |sql: &str| connection.prepare(sql).unwrap().kind();
    assert_eq!(kind("SELECT 1"), StatementKind::Select);
    assert_eq!(kind("EXPLAIN SELECT 1"), StatementKind::Explain);
    assert_eq!(kind("CREATE TABLE t (i INTEGER)"), StatementKind::Other);
    assert_eq!(kind("COPY (SELECT 1) TO '/nowhere/x'"), StatementKind::Other);
    assert_eq!(connection.prepare("SELECT ?").unwrap().parameters(), 1);
}

#[test]
fn an_interrupt_from_another_thread_ends_a_statement_with_an_error() {
    let connection = connection();
    let interrupter = connection.interrupter();
    let (started, wait) = std::sync::mpsc::channel();
    let stopper = std::thread::spawn(move || {
        wait.recv().unwrap();
        // Again and again, as an interrupt before the start is forgotten.
        while Arc::strong_count(&interrupter.0) > 1 {
            interrupter.interrupt();
            std::thread::yield_now();
        }
    });
    let statement = connection.prepare("SELECT count(*) FROM range(1000000000000) a WHERE range % 7 = 3").unwrap();
    started.send(()).unwrap();
    let outcome = statement.stream(&Keywords::default()).and_then(|mut stream| stream.next_chunk().map(drop));
    assert_eq!(outcome.unwrap_err().kind, FailureKind::Interrupted);
    drop(connection);
    stopper.join().unwrap();
}

/// A result far larger than the memory limit comes through: it is never there as a whole.
#[test]
fn results_stream() {
    let connection = connection();
    connection.execute("SET memory_limit = '64MB'").unwrap();
    connection.execute("SET temp_directory = ''").unwrap();
    let sql = "SELECT repeat('x', 1000) AS x, range FROM range(200000)";
    let mut stream = connection.prepare(sql).unwrap().stream(&Keywords::default()).unwrap();
    let mut rows = 0;
    while let Some(chunk) = stream.next_chunk().unwrap() {
        let vector = stream.vector(&chunk, 0);
        assert!((0..chunk.len()).all(|row| vector.bytes(row).len() == 1_000));
        rows += chunk.len();
    }
    assert_eq!(rows, 200_000);
}

#[test]
fn a_vector_is_not_read_as_what_it_is_not() {
    let connection = connection();
    let mut stream = connection.prepare("SELECT 1::INTEGER").unwrap().stream(&Keywords::default()).unwrap();
    let chunk = stream.next_chunk().unwrap().unwrap();
    let vector = stream.vector(&chunk, 0);
    assert_eq!(vector.get::<i32>(0), 1);
    let panics = |read: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err();
    assert!(panics(&|| assert_eq!(vector.get::<i64>(0), 1)));
    assert!(panics(&|| assert_eq!(vector.get::<i32>(1), 1)));
    assert!(panics(&|| assert!(vector.bytes(0).is_empty())));
}
