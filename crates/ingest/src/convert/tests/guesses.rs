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
    for rows in 1..6 {
        let table = ok(&format!("item,unit\n{}", "rope,\"\n".repeat(rows)), &[("header", "true")]);
        assert_eq!((table.column("unit"), codes(&table)), (vec![Some("\"".to_owned()); rows], vec!["quote_guessed"]));
    }
    let table = ok("id,text\n1,'a, b'\n2,c\n3,'d, e'\n", &[]);
    assert_eq!((table.column("text"), codes(&table)), (some(&["a, b", "c", "d, e"]), vec!["quote_guessed"]));
}

#[test]
fn white_space_before_a_quote_is_syntax_where_it_fits() {
    let table = ok("id, name, n\n1, \"Ann\", 3\n2, \"Bob\", 4\n", &[]);
    assert_eq!((table.names(), table.column("name")), (vec!["id", "name", "n"], some(&["Ann", "Bob"])));
    assert_eq!((table.types()[2], codes(&table)), ("BIGINT", vec!["spaces_trimmed"]));
    assert_eq!(ok("\"id\", \"name\"\n1, \"Ann\"\n", &[]).names(), ["id", "name"]);
    let table = ok("id, name\n1, \"Ann, jr\"\n2, Bob \n", &[]);
    assert_eq!(table.column("name"), some(&["Ann, jr", "Bob "]));
    let kept = ok("id,name\n1, Ann\n2, \"Bob\"\n", &[("trim", "false")]);
    assert_eq!((kept.column("name"), codes(&kept)), (some(&[" Ann", " \"Bob\""]), vec![]));
    let trimmed = ok("id,name\n1, Ann\t\n2, \"Bob \" \n", &[("trim", "true")]);
    assert_eq!((trimmed.column("name"), codes(&trimmed)), (some(&["Ann", "Bob "]), vec![]));
}

#[test]
fn every_line_has_its_own_end() {
    let table = ok("id\n1\r2\r\n3\n", &[]);
    assert_eq!((table.types(), table.column("id")), (vec!["BIGINT"], some(&["1", "2", "3"])));
    let table = ok("id,t\r1,a\r\n2,\"b\r\"\r\r\n3,c\n", &[]);
    assert_eq!(table.column("t"), some(&["a", "b\r", "c"]));
    assert!(refused("a,b\r1,2\r\r\n3\r\n4\r5,6", &[]).contains("line 3: it has 1 fields instead of 2; line 4"));
    // Wherever a piece begins, a CR and its LF stay together.
    let text: String = (0..300).map(|i| format!("{i},x{i}{}", ["\r", "\n", "\r\n", "\r\r\n"][i % 4])).collect();
    let whole = ok(&text, &[("header", "false")]);
    for piece in 1..40 {
        let cut = run(text.as_bytes(), &options(&[("header", "false")]), &limits(2, piece)).unwrap();
        assert_eq!(read_columns(&cut.file), read_columns(&whole.file), "{piece}");
    }
}

#[test]
fn odd_lines_do_not_unseat_a_header() {
    let later = ok("id,v\n1,2\n3,4\nid,v\n5,6\n", &[]);
    assert_eq!((later.names(), later.converted.rows), (vec!["id", "v"], 4));
    assert_eq!(codes(&later), ["header_guessed", "header_repeated"]);
    assert_eq!(later.converted.report.warnings[1].line, Some(4));
    for text in ["# made in 2024\nid,name\n1,x\n2,y\n", "Report,\n,\nid,name\n1,x\n2,y\n"] {
        let first = ok(text, &[]);
        assert_eq!(
            (first.names(), first.types(), first.converted.rows),
            (vec!["id", "name"], vec!["BIGINT", "VARCHAR"], 2)
        );
        assert_eq!(codes(&first), ["titles_skipped"], "{text:?}");
    }
    assert!(refused("# made in 2024\nid,name\n1,x\n", &[("skip_lines", "0")]).contains("line 2"));
    // What could as well be prose is no title.
    assert!(refused("text\nHello, world\nGood night, moon\n", &[]).contains("line 2"));
}

#[test]
fn lines_that_are_told_are_passed_over() {
    let text = "made in 2024\r\n\"open\n# a comment\nid,name\n# another\n1,x\n#2,y\n3,#z\n";
    let table = ok(text, &[("skip_lines", "2"), ("comment", "#")]);
    assert_eq!((table.names(), table.column("name")), (vec!["id", "name"], some(&["x", "#z"])));
    assert!(refused(format!("{text}4\n"), &[("skip_lines", "2"), ("comment", "hash")]).contains("line 9"));
    assert_eq!(refused(text, &[("skip_lines", "8")]), "the file is empty");
    assert_eq!(refused("#a\n#b", &[("comment", "#")]), "the file is empty");
}

#[test]
fn an_escape_is_told_or_found() {
    let text = "id,text\n1,\"say \\\"hi, you\\\" \\\\ \\n\"\n2,\"a \"\"b\"\"\"\n";
    for (all, told) in [(vec![], vec!["escape_guessed"]), (vec![("escape", "backslash")], vec![])] {
        let table = ok(text, &all);
        assert_eq!(table.column("text"), some(&["say \"hi, you\" \\ \\n", "a \"b\""]));
        assert_eq!(codes(&table), told);
    }
    assert!(refused(text, &[("escape", "none")]).contains("line 2"));
}

#[test]
fn a_decimal_comma_is_never_taken_for_a_thousand() {
    let text = "name;rain;people\nUri;12,5;1.200\nZug;8,25;2.345\n";
    let table = ok(text, &[]);
    assert_eq!(table.types(), ["VARCHAR", "VARCHAR", "VARCHAR"]);
    assert_eq!(table.column("people"), some(&["1.200", "2.345"]));
    assert_eq!(codes(&table), ["decimal_comma", "numbers_kept_as_text"]);
    let told = ok(text, &[("decimal", ","), ("thousands", ".")]);
    assert_eq!((told.types(), told.column("people")), (vec!["VARCHAR", "DOUBLE", "BIGINT"], some(&["1200", "2345"])));
    assert_eq!(told.column("rain"), some(&["12.5", "8.25"]));
    let only = ok(text, &[("decimal", ",")]);
    assert_eq!(only.types(), ["VARCHAR", "DOUBLE", "VARCHAR"]);
    let declared = ok(text, &[("decimal", ","), ("types", "rain:decimal(6,2)")]);
    assert_eq!(declared.column("rain"), some(&["1250n", "825n"]));
    // Without one, a point is a point, whether the sample or a late row tells.
    assert_eq!(ok("a;b\nx;1.200\ny;2.345\n", &[]).types(), ["VARCHAR", "DOUBLE"]);
    let late = format!("a;b\n{}12,5;7.250\n", "1;1.200\n".repeat(200_000));
    assert_eq!(ok(&late, &[]).types(), ["VARCHAR", "VARCHAR"]);
}

#[test]
fn the_words_for_null_are_the_callers() {
    let table = ok("a,b\n1,-\n.,\"-\"\n3,NA\n", &[("null", "-,.")]);
    assert_eq!((table.types(), table.column("a")), (vec!["BIGINT", "VARCHAR"], some(&["1", "-", "3"])));
    assert_eq!(table.column("b"), vec![None, Some("-".to_owned()), Some("NA".to_owned())]);
}

#[test]
fn a_contested_delimiter_is_told() {
    let table = ok("1,5;2,5\n3,5;4,5\n", &[("header", "false")]);
    assert_eq!((table.names().len(), codes(&table)[0]), (2, "delimiter_guessed"));
}

#[test]
fn a_sep_line_is_a_directive() {
    let text = "sep=;\r\nplace;rain\r\nUri;12,5\r\nZug;8,25\r\n";
    for all in [[].as_slice(), &[("header", "true")]] {
        for text in [text.to_owned(), format!("\u{feff}{text}"), text.replace("sep=;", "\"sep=;\"")] {
            let table = ok(&text, all);
            assert_eq!((table.names(), table.converted.rows), (vec!["place", "rain"], 2), "{text:?}");
            assert_eq!(codes(&table), ["sep_line", "decimal_comma"]);
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
