//! The clients against a server that does as its script says, well or badly.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod lakehouse;
#[cfg(test)]
mod repetition;
#[cfg(test)]
mod server;
#[cfg(test)]
mod store;
