//! Guesses that went wrong without a word, and what they cost.

use super::*;

fn codes(table: &Table) -> Vec<&str> {
    table.converted.report.warnings.iter().map(|warning| warning.code.as_str()).collect()
}

#[test]
fn apostrophes_that_are_marks_swallow_no_lines() {
    for rows in 1..6 {
        let text = format!("item,unit\n{}", "rope,'\n".repeat(rows));
        let table = ok(&text, &[("header", "true")]);
        assert_eq!(table.column("unit"), vec![Some("'".to_owned()); rows]);
    }
    assert_eq!(ok("item,unit\nrope,''\nwire,''\n", &[]).column("unit"), some(&["''", "''"]));
}

#[test]
fn a_sep_line_is_a_directive() {
    let text = "sep=;\r\nplace;rain\r\nUri;12,5\r\nZug;8,25\r\n";
    for all in [[].as_slice(), &[("header", "true")]] {
        for text in [text.to_owned(), format!("\u{feff}{text}"), text.replace("sep=;", "\"sep=;\"")] {
            let table = ok(&text, all);
            assert_eq!((table.names(), table.converted.rows), (vec!["place", "rain"], 2), "{text:?}");
            assert_eq!(codes(&table), ["sep_line"]);
        }
    }
    let table = ok("sep=,\nid,v,w\n1,2,x\n2,3,y\n", &[]);
    assert_eq!((table.names(), table.types()), (vec!["id", "v", "w"], vec!["BIGINT", "BIGINT", "VARCHAR"]));
    assert!(refused("sep=;\na;b\n1;2\n3\n", &[]).contains("line 4"), "the directive counts as a line");
    assert_eq!(ok("sep=\\t\na\tb\n1\t2\n", &[]).names(), ["a", "b"]);
}

#[test]
fn no_value_keeps_a_cr_at_its_end() {
    let table = ok("id,qty\r\r\n1,5\r\r\n2,7\r\r\n", &[]);
    assert_eq!((table.types(), table.column("qty")), (vec!["BIGINT", "BIGINT"], some(&["5", "7"])));
    assert_eq!(ok("id,t\n1,a\r\r\n2,b\n", &[]).column("t"), some(&["a", "b"]));
    assert_eq!(ok("id,t\r\r\n1,\"a\"\r\r\n2,b\r\r\n", &[]).column("t"), some(&["a", "b"]));
}

#[test]
fn white_space_behind_a_closing_quote_is_syntax() {
    assert_eq!(ok("id,name\n1,\"Ann\" \n2,\"Bob\"\t\n", &[]).column("name"), some(&["Ann", "Bob"]));
    assert_eq!(ok("name,id\n\"Ann\" ,1\n\"B \" ,2\n", &[]).column("name"), some(&["Ann", "B "]));
}

#[test]
fn doubles_are_only_what_is_surely_a_number() {
    let column = |cells: &str| {
        let table = ok(&format!("run,n\n{cells}"), &[("header", "true")]);
        (table.types()[0].to_owned(), table.column("run"), codes(&table).join(" "))
    };
    let told = "numbers_kept_as_text";
    let ids = column("7731e104,a\n40012233,b\n");
    assert_eq!(ids, ("VARCHAR".to_owned(), some(&["7731e104", "40012233"]), told.to_owned()));
    assert_eq!(column("nan,a\nInfinity,b\n,c\n").0, "VARCHAR");
    assert_eq!(column("nan,a\n1,b\n").0, "DOUBLE");
    assert_eq!(column("1e3,a\n2.5,b\n").0, "DOUBLE");
    assert_eq!(column("1e+05,a\n7,b\n"), ("DOUBLE".to_owned(), some(&["100000.0", "7.0"]), String::new()));
    // Whether the sample or a late row tells.
    let late = format!("{}2.5,z\n", "1e3,a\n".repeat(200_000));
    assert_eq!(column(&late).0, "DOUBLE");
}

#[test]
fn a_skip_that_leaves_no_row_is_refused_and_one_that_leaves_few_is_told() {
    assert!(refused("A,B\n1,4,\n2,5,\n", &[("on_error", "skip")]).contains("line 2"));
    let table = ok("a,b\n1,2\n3\n4\n", &[("on_error", "skip")]);
    assert_eq!(codes(&table), ["most_rows_skipped"]);
    assert_eq!(table.converted.report.warnings[0].line, Some(3));
    assert!(codes(&ok("a,b\n1,2\n3\n", &[("on_error", "skip")])).is_empty());
    assert_eq!(ok("only,a,header\n", &[("on_error", "skip")]).converted.rows, 0);
}

#[test]
fn warnings_stand_in_the_footer() {
    let table = ok("sep=;\na;A\n1;2\n", &[]);
    assert_eq!(codes(&table), ["sep_line", "column_renamed"]);
    let mut bytes = vec![0; usize::try_from(table.converted.size).unwrap()];
    std::os::unix::fs::FileExt::read_exact_at(&table.file, &mut bytes, 0).unwrap();
    assert_eq!(Report::from_end(&bytes).unwrap(), table.converted.report);
}
