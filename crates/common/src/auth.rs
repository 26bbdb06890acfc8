use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, header};
use ipnet::IpNet;
use lakehouse_types::ErrorKind;
use subtle::ConstantTimeEq as _;

use crate::{ApiError, config};

/// Set to `1` to listen on an address other than loopback, once a token is set.
pub(crate) const ALLOW_NON_LOOPBACK: &str = "LAKEHOUSE_ALLOW_NON_LOOPBACK";

/// The caller's address once trusted proxies are looked through; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

/// Was the peer a trusted proxy? Then its `X-Forwarded-*` headers count. An extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedPeer(pub bool);

/// Why a service must not start with this address or these lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// No token on an address that others can reach.
    #[error("bind {0} is not loopback and auth.token is empty: set auth.token (or auth.token_file), or bind 127.0.0.1")]
    NoToken(SocketAddr),
    /// A token, but no word that this is meant.
    #[error("bind {0} is not loopback: set {ALLOW_NON_LOOPBACK}=1 if that is meant")]
    NotConfirmed(SocketAddr),
    /// A list with entries, none of which is valid: letting all in would be the opposite of what was meant.
    #[error("{0} has no valid entry")]
    NoValidEntry(&'static str),
}

/// The bind gate. `allow` is the value of [`ALLOW_NON_LOOPBACK`].
///
/// # Errors
/// [`BindError`] where the address is open to others without a token, or without confirmation.
pub fn check_bind(address: SocketAddr, token_set: bool, allow: Option<&str>) -> Result<(), BindError> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if !token_set {
        return Err(BindError::NoToken(address));
    }
    if allow == Some("1") { Ok(()) } else { Err(BindError::NotConfirmed(address)) }
}

/// Decides who may call. One value for the whole service; cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

struct Inner {
    /// `Bearer <token>`, whole; `None`: no token is asked for.
    expected: Option<Vec<u8>>,
    allowed: Vec<IpNet>,
    trusted: Vec<IpNet>,
}

/// The token must not reach a log through a `{:?}` somewhere.
impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = if self.expected.is_some() { "set" } else { "none" };
        f.debug_struct("Auth").field("token", &token).field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Auth {
    /// Reads the lists. An entry that is no address or network is logged and dropped.
    ///
    /// # Errors
    /// [`BindError::NoValidEntry`] where a list has entries and none of them is valid.
    pub fn new(config: &config::Auth) -> Result<Self, BindError> {
        let expected = (!config.token.is_empty()).then(|| format!("Bearer {}", config.token.expose()).into_bytes());
        let allowed = networks("auth.allowed_ips", &config.allowed_ips)?;
        let trusted = networks("auth.trusted_proxies", &config.trusted_proxies)?;
        Ok(Self { inner: Arc::new(Inner { expected, allowed, trusted }) })
    }

    /// The caller's address: the peer's, or, as long as that is a trusted proxy, the one it names,
    /// read from the right: what stands left of an untrusted hop is whatever that hop chose to write.
    #[must_use]
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> (ClientAddr, TrustedPeer) {
        let peer = peer.to_canonical();
        if self.inner.trusted.is_empty() || !contains(&self.inner.trusted, peer) {
            return (ClientAddr(peer), TrustedPeer(false));
        }
        let mut address = peer;
        // By bytes: what is no text stands where its sender put it, and must not hide the hops right of it.
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
            let Some(hop) = parse_hop(hop) else { break };
            address = hop;
            if !contains(&self.inner.trusted, hop) {
                break;
            }
        }
        (ClientAddr(address), TrustedPeer(true))
    }

    /// Both gates: 403 for an address that is not on the list, 401 for a token that is missing,
    /// wrong, or given without `Bearer `.
    ///
    /// # Errors
    /// The answer for the caller.
    pub fn check(&self, client: ClientAddr, headers: &HeaderMap) -> Result<(), ApiError> {
        if !self.inner.allowed.is_empty() && !contains(&self.inner.allowed, client.0) {
            return Err(ApiError::new(ErrorKind::Forbidden, "this address is not allowed"));
        }
        let Some(expected) = &self.inner.expected else { return Ok(()) };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        // Two Authorization headers: which of them counts would depend on who reads.
        let (Some(value), None) = (given.next(), given.next()) else {
            return Err(ApiError::new(ErrorKind::Unauthorized, "send Authorization: Bearer <token>"));
        };
        if equal_in_constant_time(value.as_bytes(), expected) {
            Ok(())
        } else {
            Err(ApiError::new(ErrorKind::Unauthorized, "the token is not valid"))
        }
    }
}

/// Compares in a time that depends on the length of `given` alone, which its sender knows:
/// `subtle` gives up at once on slices of unequal length, which would tell the token's.
fn equal_in_constant_time(given: &[u8], expected: &[u8]) -> bool {
    let mut padded = vec![0_u8; given.len()];
    for (slot, byte) in padded.iter_mut().zip(expected) {
        *slot = *byte;
    }
    let same_length = (given.len() as u64).ct_eq(&(expected.len() as u64));
    bool::from(given.ct_eq(&padded) & same_length)
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1` or `[::1]:567`.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let address = hop.parse::<IpAddr>().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()));
    address.map(|address| address.to_canonical())
}

fn networks(key: &'static str, entries: &[String]) -> Result<Vec<IpNet>, BindError> {
    let mut networks = Vec::new();
    for entry in entries {
        let network = entry.parse::<IpNet>().ok().or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from));
        match network {
            Some(network) => networks.push(network),
            None => tracing::warn!(key, entry, "not an address or network; dropped"),
        }
    }
    if networks.is_empty() && !entries.is_empty() { Err(BindError::NoValidEntry(key)) } else { Ok(networks) }
}

#[cfg(test)]
mod tests;
