//! Requests against catalogd's whole stack over a store in memory.

#[cfg(test)]
mod routes;
#[cfg(test)]
mod service;
#[cfg(test)]
mod start;
