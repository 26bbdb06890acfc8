//! RFC 8259 and Python's three words, with limits, in one pass.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Json, JsonError, MAX_DEPTH, MAX_VALUES, Object};

pub(super) fn parse(text: &str) -> Result<Json<'_>, JsonError> {
    let mut parser = Parser { text, at: 0, values: 0 };
    parser.skip_white();
    let value = parser.value(0)?;
    parser.skip_white();
    if parser.at == text.len() { Ok(value) } else { Err(parser.error("text after the value")) }
}

pub(super) fn parse_one(text: &str, from: usize) -> Result<(Json<'_>, usize), JsonError> {
    let mut parser = Parser { text, at: from, values: 0 };
    parser.skip_white();
    Ok((parser.value(0)?, parser.at))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, why: &'static str) -> JsonError {
        JsonError { at: self.at, why }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        if depth >= MAX_DEPTH {
            return Err(self.error("nested too deep"));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error("too many values in one row"));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'-') if self.text.as_bytes().get(self.at + 1) == Some(&b'I') => self.not_finite("-Infinity"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'I') => self.not_finite("Infinity"),
            Some(b'N') => self.not_finite("NaN"),
            Some(b't') => self.literal("true", Json::Bool(true)),
            Some(b'f') => self.literal("false", Json::Bool(false)),
            Some(b'n') => self.literal("null", Json::Null),
            Some(_) => Err(self.error("a value was expected")),
            None => Err(self.error("the text ends in the middle")),
        }
    }

    fn literal(&mut self, word: &'static str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.error("a value was expected"))
        }
    }

    fn not_finite(&mut self, word: &'static str) -> Result<Json<'a>, JsonError> {
        self.literal(word, Json::NotFinite(word))
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_white();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.skip_white();
            items.push(self.value(depth + 1)?);
            self.skip_white();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                Some(_) => return Err(self.error("`,` or `]` was expected")),
                None => return Err(self.error("the text ends in the middle")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        self.at += 1;
        let mut members = Vec::new();
        self.skip_white();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(Object::default()));
        }
        loop {
            self.skip_white();
            match self.peek() {
                Some(b'"') => {}
                Some(_) => return Err(self.error("a key in quotes was expected")),
                None => return Err(self.error("the text ends in the middle")),
            }
            let key = self.string()?;
            self.skip_white();
            match self.peek() {
                Some(b':') => self.at += 1,
                Some(_) => return Err(self.error("`:` was expected")),
                None => return Err(self.error("the text ends in the middle")),
            }
            self.skip_white();
            members.push((key, self.value(depth + 1)?));
            self.skip_white();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(Object::from_members(members)));
                }
                Some(_) => return Err(self.error("`,` or `}` was expected")),
                None => return Err(self.error("the text ends in the middle")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a digit was expected")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Json<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    /// The string that begins at the quote here.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let mut unescaped: Option<String> = None;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let Some(stop) = memchr2(b'"', b'\\', rest) else {
                self.at = self.text.len();
                return Err(self.error("the text ends inside a string"));
            };
            if let Some(control) = rest[..stop].iter().position(|&b| b < 0x20) {
                self.at += control;
                return Err(self.error("a control character inside a string"));
            }
            let plain = &self.text[self.at..self.at + stop];
            self.at += stop + 1;
            if rest[stop] == b'"' {
                return Ok(match unescaped {
                    None => Cow::Borrowed(plain),
                    Some(mut text) => {
                        text.push_str(plain);
                        Cow::Owned(text)
                    }
                });
            }
            let text = unescaped.get_or_insert_default();
            text.push_str(plain);
            let c = self.escape()?;
            text.push(c);
        }
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(kind) = self.peek() else { return Err(self.error("the text ends inside a string")) };
        let c = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.error("an unknown escape")),
        };
        self.at += 1;
        Ok(c)
    }

    /// The four digits after `\u`, and those of the second half of a pair. Half a pair alone becomes
    /// U+FFFD: writers that cut a text at a fixed length leave such halves behind.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.four_hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let back = self.at;
        self.at += 2;
        let second = self.four_hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            self.at = back;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            let Some(digit) = digit else { return Err(self.error("four hex digits were expected")) };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
