//! The parts of a replay that decide: what to remember, what to say, whether an answer will do, and
//! the row that is left behind. Calling models is the program's part.

mod bundle;
mod judge;
mod memory;
mod paths;
mod rank;
mod row;
mod thoughts;

pub use bundle::{Bundle, Entry, estimate_tokens, truncate_to_tokens};
pub use judge::{Rules, ended_badly, extract_json, judge};
pub use memory::Memory;
pub use paths::{Known, cited_paths};
pub use rank::rank;
pub use row::{Attempt, Method, ReplayRun, Retrieval, SCHEMA, Validation};
pub use thoughts::{Said, without_thoughts};
