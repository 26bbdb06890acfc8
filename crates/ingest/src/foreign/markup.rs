use memchr::memmem;

const HTML: &str = "HTML; send its table as CSV";
const XML: &str = "XML; send its rows as CSV";
const SVG: &str = "SVG (an image)";

/// Elements that a page, or a part of one, begins with. Others are XML.
const PAGES: [&[u8]; 4] = [b"html", b"head", b"body", b"table"];

/// Before the root element, and how it ends.
const PROLOG: [(&[u8], &[u8]); 3] = [(b"<?xml", b"?>"), (b"<!--", b"-->"), (b"<!doctype", b">")];

/// A declaration, a comment, a document type, or one element that holds all the rest: `<id>,<name>` is a
/// header, and `<b>x</b>,1` a row.
pub(super) fn what(text: &[u8], whole: bool, indented: bool) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    if text.starts_with(b"<!doctype html") {
        return Some(HTML);
    }
    let root = behind_prolog(&text);
    let name = name(root);
    let what = match name {
        Some(name) if PAGES.contains(&name) => HTML,
        Some(b"svg") => SVG,
        _ => XML,
    };
    let declared = root.len() < text.len();
    let is_markup = || !indented && name.is_some_and(|name| holds_the_rest(root, name, whole));
    (declared || is_markup()).then_some(what)
}

fn behind_prolog(mut text: &[u8]) -> &[u8] {
    while let Some((_, end)) = PROLOG.iter().find(|(begin, _)| text.starts_with(begin)) {
        let next = memmem::find(text, end).map_or(text.len(), |at| at + end.len());
        text = text[next..].trim_ascii_start();
    }
    text
}

/// The name of the element that begins here.
fn name(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"<")?;
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:-.".contains(byte);
    let end = text.iter().position(|byte| !is_part(byte))?;
    (text[0].is_ascii_alphabetic() && ends_name(text[end])).then_some(&text[..end])
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/')
}

/// Does the element `name` at the beginning of `text` end where the text does? If the text is cut, some
/// element must end.
fn holds_the_rest(text: &[u8], name: &[u8], whole: bool) -> bool {
    let mut depth = 0_usize;
    for at in memmem::find_iter(text, name) {
        let (before, tag) = (&text[..at], &text[at..]);
        if !tag.get(name.len()).is_some_and(|next| ends_name(*next)) {
            continue;
        }
        let Some(end) = memchr::memchr(b'>', tag) else { break };
        let (tag, rest) = (&tag[..end], &tag[end + 1..]);
        if before.ends_with(b"</") {
            depth = depth.saturating_sub(1);
        } else if before.ends_with(b"<") {
            if at == 1 && (!is_tag(&tag[name.len()..]) || is_cell_end(rest, PAGES.contains(&name), whole)) {
                return false;
            }
            depth += usize::from(!tag.ends_with(b"/"));
        } else {
            continue;
        }
        if depth == 0 {
            let rest = rest.trim_ascii_start();
            return rest.is_empty() || rest.starts_with(b"<!--") || PAGES.contains(&name) && rest.starts_with(b"<");
        }
    }
    // A page need not close its elements.
    let is_page = name == b"html" && memmem::find(text, b"<body").is_some();
    is_page || !whole && has_an_element(text)
}

/// Does the first end tag end something that has begun?
fn has_an_element(text: &[u8]) -> bool {
    let Some((before, end)) = memmem::find(text, b"</").map(|at| text.split_at(at)) else { return false };
    let end = [b"<", &end[2..]].concat();
    name(&end).is_some_and(|name| memmem::find(before, &end[..=name.len()]).is_some())
}

/// Is this what may stand between a name and `>`: nothing, or attributes?
fn is_tag(attributes: &[u8]) -> bool {
    let attributes = attributes.strip_suffix(b"/").unwrap_or(attributes).trim_ascii();
    attributes.is_empty() || attributes.contains(&b'=') && !attributes.contains(&b'<')
}

/// Does the text go on with a delimiter, or the rest of a cell? Markup goes on with a line, a tag or words;
/// long markup not with words, and a page after a space.
fn is_cell_end(rest: &[u8], page: bool, whole: bool) -> bool {
    let spaces = if page { rest.iter().take_while(|byte| **byte == b' ').count() } else { 0 };
    match &rest[spaces..] {
        [b'\r' | b'\n', ..] | [] => false,
        [b'<', next, ..] => !next.is_ascii_alphabetic() && !b"/!?".contains(next),
        [first, ..] => !whole || matches!(first, b' ' | b'\t') || first.is_ascii_punctuation(),
    }
}
