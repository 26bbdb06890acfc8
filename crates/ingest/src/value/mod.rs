//! From the text of a cell to a value.
//!
//! The rules, in one place:
//! - `""` (an empty cell), `NA`, `N/A`, `null` and `NULL` are null. In a text column only where they
//!   stand unquoted and alone: `"NA"` and `""` in quotes are the text they show. In a column of any
//!   other type they are null however they are quoted or padded.
//! - White space around a number, date or truth value is ignored; in a text column it stays.
//! - A number with a leading zero (`00501`), a leading `+`, digit groups or a unit is text: a number
//!   would not bring the zero or the plus back.
//! - Integers past 64 bits become `DECIMAL(38,0)`; what neither holds is text. An integer that a
//!   double would round never shares a `DOUBLE` column: the column becomes text.
//! - Dates are `YYYY-MM-DD`; timestamps add `T` or a space and `HH:MM[:SS[.ffffff]]`, and those with
//!   `Z`, `UTC` or an offset are instants. More than six digits of a second that matter: text.

mod classify;
mod declared;
mod number;
mod temporal;

pub(crate) use classify::{classify, is_null, is_null_token, trim};
pub(crate) use declared::{Value, parse_declared};
pub(crate) use number::{Number, is_lossless_double, parse_double_fast, parse_i64_fast, parse_number, parse_word};
pub(crate) use temporal::{Temporal, parse_temporal};
