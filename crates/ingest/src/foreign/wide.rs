//! Text in two or four bytes per character.

/// With their byte order marks. That of UTF-32 begins with that of UTF-16.
const MARKED: [(&[u8], &str); 4] = [
    (b"\xff\xfe\0\0", "UTF-32 text; convert it to UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text; convert it to UTF-8"),
    (b"\xff\xfe", "UTF-16 text; convert it to UTF-8"),
    (b"\xfe\xff", "UTF-16 text; convert it to UTF-8"),
];

/// Bytes at the beginning that tell.
const LOOKED_AT: usize = 4 << 10;

/// Delimiters, digits and line ends are ASCII in every language: at least one character of this many.
const ASCII_IN: usize = 50;

pub(super) fn what(sample: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = MARKED.iter().find(|(mark, _)| sample.starts_with(mark)) {
        return Some(what);
    }
    let head = sample.get(..LOOKED_AT).unwrap_or(sample);
    // A table with NULs in its texts, or in place of them, decodes as well.
    let (pairs, _) = head.as_chunks::<2>();
    let with_nul = pairs.iter().filter(|pair| pair.contains(&0)).count();
    if with_nul * 10 < pairs.len() * 9 && is_narrow(head) {
        return None;
    }
    // Ideographs may be letters the other way round, line ends and delimiters are none.
    let (little, big) = (utf16(pairs, u16::from_le_bytes), utf16(pairs, u16::from_be_bytes));
    if little > big {
        return Some("UTF-16 text (little endian, without a byte order mark); convert it to UTF-8");
    }
    if big.is_some() {
        return Some("UTF-16 text (big endian, without a byte order mark); convert it to UTF-8");
    }
    let (fours, _) = head.as_chunks::<4>();
    let is_utf32 = |order: fn([u8; 4]) -> u32| text(fours.iter().map(|four| char::from_u32(order(*four)))).is_some();
    (is_utf32(u32::from_le_bytes) || is_utf32(u32::from_be_bytes))
        .then_some("UTF-32 text (without a byte order mark); convert it to UTF-8")
}

/// UTF-8 with no control characters but NUL.
fn is_narrow(head: &[u8]) -> bool {
    let text = match str::from_utf8(head) {
        Ok(text) => text,
        // The head may end inside of a character.
        Err(error) if error.error_len().is_none() => str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    text.chars().all(|letter| letter == '\0' || is_letter(letter))
}

/// How many ASCII characters there are, if this is text of this order.
fn utf16(pairs: &[[u8; 2]], order: fn([u8; 2]) -> u16) -> Option<usize> {
    let mut units: Vec<u16> = pairs.iter().map(|pair| order(*pair)).collect();
    // The head may end inside of a character.
    units.pop_if(|last| (0xd800..0xdc00).contains(last));
    text(char::decode_utf16(units).map(Result::ok))
}

fn text(letters: impl Iterator<Item = Option<char>>) -> Option<usize> {
    let (mut count, mut ascii) = (0, 0);
    for letter in letters {
        let letter = letter.filter(|letter| is_letter(*letter))?;
        count += 1;
        ascii += usize::from(letter.is_ascii());
    }
    (ascii >= (count / ASCII_IN).max(2)).then_some(ascii)
}

fn is_letter(letter: char) -> bool {
    !letter.is_ascii_control() || matches!(letter, '\t'..='\r' | '\x1a' | '\x1b')
}
