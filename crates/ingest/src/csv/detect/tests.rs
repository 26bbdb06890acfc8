use super::*;

fn detected(text: &str) -> Detected {
    detect(text.as_bytes(), true, Wish::default())
}

fn guess(text: &str) -> (char, Option<char>) {
    let dialect = detected(text).dialect;
    (dialect.delimiter.into(), dialect.quote.map(char::from))
}

#[test]
fn delimiters_are_found() {
    for delimiter in [',', ';', '\t', '|'] {
        let text = "a,b,c\n1,x y,2\n3,\"p,q\",4\n".replace(',', &delimiter.to_string());
        assert_eq!(guess(&text), (delimiter, Some('"')), "{text:?}");
        assert_eq!(detected(&text).doubts, [], "{text:?}");
        assert_eq!(guess(&text.replace('\n', "\r")), (delimiter, Some('"')));
    }
    assert_eq!(guess("id|text\n1|a, b\n2|c, d\n3|e\n").0, '|', "commas in the text");
    assert_eq!(guess("id,tags\n1,a|b\n2,c\n3,d|e\n").0, ',');
    assert_eq!(guess("name;price\na;1,5\nb;2,25\n").0, ';');
    assert_eq!(guess("alone\n1\n2\n").0, ',');
    assert_eq!(guess("").0, ',');
}

#[test]
fn a_delimiter_with_a_rival_is_in_doubt() {
    let decimal_commas = detected("1,5;2,5\n3,5;4,5\n");
    assert_eq!(
        (decimal_commas.dialect.delimiter, decimal_commas.doubts),
        (b';', vec![Doubt::Delimiter { rival: b',' }])
    );
    let both = detected("a;b,c\nx;y,z\n");
    assert_eq!((both.dialect.delimiter, both.doubts), (b',', vec![Doubt::Delimiter { rival: b';' }]));
}

#[test]
fn prose_in_quotes_does_not_count() {
    assert_eq!(guess("a;b\n\"x, y, z\";\"p, q, r\"\n\"x, y, z\";\"p, q, r\"\n").0, ';');
}

#[test]
fn apostrophes_quote_only_where_that_makes_the_table_more_regular() {
    for text in [
        "a,b\n'x, y',1\n'p',2\n",
        "id,text\n1,'a, b'\n2,c\n3,'d, e'\n",
        "'id','text'\n'1','a\nb'\n'2','c'\n",
        "a,b\n'1','x'\n",
    ] {
        assert_eq!(guess(text).1, Some('\''), "{text:?}");
        assert_eq!(detected(text).doubts, [Doubt::Apostrophes]);
    }
    for text in [
        "a,b\n'tis,1\nit's,2\n",
        "a,b\n'tis,1\nplain,2\n",
        "a,b\n'x',\"y\"\n",
        "item,unit\nrope,'\nwire,'\ncord,'\npipe,'\n",
        "item,unit\nrope,'\nwire,'\ncord,'\n",
        "item,unit\nrope,''\nwire,''\n",
        "a,b\n'90s rock',1\npop,2\n",
        "id,text\n1,'tis, he said\n2,'twas, she said\n",
    ] {
        assert_eq!(guess(text).1, Some('"'), "{text:?}");
    }
    assert_eq!(detected("item,unit\nrope,'\nwire,'\n").doubts, [Doubt::NoApostrophes]);
    assert_eq!(detected("a,b\nit's,1\n").doubts, []);
}

#[test]
fn quotes_that_are_inches_swallow_no_lines() {
    for rows in 1..6 {
        let found = detected(&format!("item,unit\n{}", "rope,\"\n".repeat(rows)));
        assert_eq!((found.dialect.quote, found.doubts), (None, vec![Doubt::NoQuotes]), "{rows}");
    }
    for text in [
        "name,address\nBob,\"12 Main St\nSpringfield, IL\"\n",
        "id,text\n1,\"a\n2,b\"\n",
        "a,b\n1,\"\n\"\n",
        "a,b\n1,\"oops\n2,x\n3,y\n",
    ] {
        assert_eq!(guess(text).1, Some('"'), "{text:?}");
    }
}

#[test]
fn white_space_before_quotes_is_syntax_where_it_fits() {
    let spaces = |text: &str| (detected(text).dialect.spaces, detected(text).doubts);
    for text in ["id, name\n1, \"Ann, jr\"\n", "\"id\", \"name\"\n1, \"Ann\"\n", "a; \"b\"\n1;  \"2\"\n"] {
        assert_eq!(spaces(text), (Spaces::Leading, vec![Doubt::Spaces]), "{text:?}");
    }
    for text in ["id, name\n1, Ann\n", "id, name\n1, \"Ann\" Lee\n2, Bob\n", "h\n5 \"\n"] {
        assert_eq!(spaces(text), (Spaces::Kept, vec![]), "{text:?}");
    }
}

#[test]
fn backslashes_escape_where_that_makes_the_table_more_regular() {
    let found = detected("id,text\n1,\"He said \\\"hi, there\\\"\"\n");
    assert_eq!((found.dialect.escape, found.doubts), (Some(b'\\'), vec![Doubt::Escape]));
    assert_eq!(detected("id,path\n1,\"C:\\dir\\\"\n2,\"D:\\\"\n").dialect.escape, None);
}

#[test]
fn the_caller_is_believed() {
    let wish = Wish {
        delimiter: Some(b' '),
        quote: Some(None),
        escape: Some(Some(b'^')),
        spaces: Some(Spaces::Around),
        comment: Some(b'#'),
    };
    let found = detect(b"a,b\n1,2\n", true, wish);
    let dialect =
        Dialect { delimiter: b' ', quote: None, escape: Some(b'^'), spaces: Spaces::Around, comment: Some(b'#') };
    assert_eq!(found, Detected { dialect, doubts: vec![] });
}
