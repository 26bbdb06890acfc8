//! The catalog over a store that can be told to misbehave.

#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod model;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
