//! queryd as its callers see it: over a socket, with worker processes, over a lake in memory.

#[cfg(test)]
mod bombs;
#[cfg(test)]
mod catalog;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod lake;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod service;
