//! From the text of a cell to a value.
//!
//! The rules, in one place:
//! - `""` (an empty cell), `NA`, `N/A`, `null` and `NULL` are null; the option `null` puts other words
//!   in the place of these four. In a text column only where they stand unquoted and alone: `"NA"` and
//!   `""` in quotes are the text they show. In a column of any other type they are null however they
//!   are quoted or padded, even where they would be a value (`-999`).
//! - White space around a number, date or truth value is ignored; in a text column it stays.
//! - A number with a leading zero (`00501`), a leading `+`, digit groups or a unit is text: a number
//!   would not bring the zero or the plus back.
//! - The options `decimal` and `thousands` say that numbers have other marks; they are read as if they
//!   had a decimal point and no groups. Groups have exactly three digits, but for the first, which has
//!   one to three and doesn't begin with zero; a number may also do without them. In a file with decimal
//!   commas a point that is no mark between thousands makes a text.
//! - Where neither is said, `1,5` and `1.234,56` are text. A column of such cells shows that the file
//!   has decimal commas, and then any column of the file with a cell such as `1.200`, which may be
//!   twelve hundred, is text too.
//! - Integers past 64 bits become `DECIMAL(38,0)`; what neither holds is text. An integer that a
//!   double would round never shares a `DOUBLE` column: the column becomes text.
//! - Dates are `YYYY-MM-DD`; timestamps add `T` or a space and `HH:MM[:SS[.ffffff]]`, and those with
//!   `Z`, `UTC` or an offset are instants. More than six digits of a second that matter: text. No
//!   option changes how they are written.

mod classify;
mod declared;
mod notation;
mod number;
mod temporal;

use self::classify::trim;
pub(crate) use declared::Value;
pub(crate) use notation::{Marks, Notation};
pub(crate) use number::{Form, is_lossless_double, parse_double_fast, parse_i64_fast};
pub(crate) use temporal::{Temporal, parse_temporal};
