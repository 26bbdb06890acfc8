//! Numbers as every runtime writes them: in the form of RFC 8785, which is that of ECMAScript.
//!
//! A number is written so where a double holds all that its text says: the double nearest to it,
//! rounded to as many digits as were written, gives these digits back. Integers are ids too, and a
//! double stands for many long ones; for them the shortest form of the double must be what was
//! written. So 301.0 and 301 are one number, 9007199254740993 and 9007199254740992 are two.

/// A double has at most 767 digits that count. More of them are somebody's own, and stay.
const MOST_DIGITS: usize = 800;

/// Integers of so few digits are doubles, and are written as they are.
const PLAIN_DIGITS: usize = 15;

/// Appends `text`, a number, in its canonical form, and says whether that is not as it was written.
pub(super) fn write(text: &str, out: &mut Vec<u8>) -> bool {
    let is_plain = text.len() <= PLAIN_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = if is_plain { None } else { canonical(text) };
    let written = canonical.as_deref().unwrap_or(text);
    out.extend_from_slice(written.as_bytes());
    written != text
}

/// The form of RFC 8785; none for a number that no double holds.
pub(super) fn canonical(text: &str) -> Option<String> {
    let written = Decimal::of(text)?;
    if written.digits.is_empty() {
        return Some("0".to_owned());
    }
    let x: f64 = text.parse().ok().filter(|x: &f64| x.is_finite())?;
    let shortest = Decimal::of(&format!("{x:e}"))?;
    let is_held = shortest == written || (text.contains(['.', 'e', 'E']) && gives_back(x, &written));
    is_held.then(|| shortest.in_ecmascript())
}

/// Whether `x`, rounded to as many digits as `written` has, is `written`.
fn gives_back(x: f64, written: &Decimal) -> bool {
    let digits = written.digits.len();
    digits <= MOST_DIGITS && Decimal::of(&format!("{x:.*e}", digits - 1)).is_some_and(|rounded| rounded == *written)
}

/// 0.`digits` times ten to the power of `point`. Without zeros at either end of its digits, so that
/// equal numbers are equal; zero has no digits.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    /// The number that `text` writes in JSON's or Rust's way; none if its exponent is beyond counting.
    fn of(text: &str) -> Option<Self> {
        let (is_negative, size) = match text.strip_prefix('-') {
            Some(size) => (true, size),
            None => (false, text),
        };
        let (significand, exponent) = size.split_once(['e', 'E']).unwrap_or((size, "0"));
        let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let zeros = all.len() - digits.len();
        let digits = digits.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, point: 0 });
        }
        let exponent: i64 = exponent.parse().ok()?;
        let point = i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(zeros).ok()?)?.checked_add(exponent)?;
        Some(Self { is_negative, digits, point })
    }

    /// `Number.prototype.toString`: plain from 1e-7 on and below 1e21, else with an exponent.
    fn in_ecmascript(&self) -> String {
        let digits = &self.digits;
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or(0));
        let size = match self.point {
            point if (length..=21).contains(&point) => format!("{digits}{}", zeros(point - length)),
            point @ 1..=21 => {
                let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
                format!("{whole}.{fraction}")
            }
            point @ -5..=0 => format!("0.{}{digits}", zeros(-point)),
            point => {
                let (first, rest) = digits.split_at(1);
                let dot = if rest.is_empty() { "" } else { "." };
                format!("{first}{dot}{rest}e{:+}", point - 1)
            }
        };
        format!("{}{size}", if self.is_negative { "-" } else { "" })
    }
}
