//! Any `X-Forwarded-For` and `Authorization` from any peer: the walk over the hops ends where a plain
//! one does, whatever stands left of that, and nothing but the token itself lets anyone in.
//! `scripts/soak/fuzz 60 common`.

#![no_main]

use std::{
    cell::OnceCell,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderValue, header};
use lakehouse_common::{
    Auth, ClientAddr, TrustedPeer,
    config::{self, Secret},
};
use lakehouse_types::ErrorKind;
use libfuzzer_sys::fuzz_target;

const PEERS: [&str; 6] = ["127.0.0.1", "10.1.2.3", "::ffff:10.0.0.1", "fd00::1", "::1", "198.51.100.1"];
const TOKEN: &str = "s3cret";

thread_local! {
    static AUTH: OnceCell<Auth> = const { OnceCell::new() };
}

fn auth() -> Auth {
    let list = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
    let config = config::Auth {
        token: Secret::new(TOKEN),
        allowed_ips: list(&["203.0.113.0/24", "10.0.0.0/8"]),
        trusted_proxies: list(&["127.0.0.1", "10.0.0.0/8", "fd00::/8"]),
        ..config::Auth::default()
    };
    Auth::new(&config).expect("valid lists")
}

fn is_trusted(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets() == [127, 0, 0, 1] || v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
    }
}

fn is_allowed(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10 || v4.octets()[..3] == [203, 0, 113])
}

fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// From the right, over all lines as if they were one, as long as the one who speaks is trusted.
fn plain_walk(peer: IpAddr, lines: &[HeaderValue]) -> (ClientAddr, TrustedPeer) {
    let peer = peer.to_canonical();
    let whole = lines.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b',');
    let mut said: Vec<&[u8]> = whole.split(|byte| *byte == b',').collect();
    let mut speaker = peer;
    while is_trusted(speaker)
        && let Some(address) = said.pop().and_then(hop)
    {
        speaker = address;
    }
    (ClientAddr(speaker), TrustedPeer(is_trusted(peer)))
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let peer: IpAddr = PEERS[usize::from(*choice) % PEERS.len()].parse().expect("an address");
    let mut lines = rest.split(|byte| *byte == b'\n');
    let tokens: Vec<HeaderValue> = lines
        .next()
        .into_iter()
        .flat_map(|line| line.split(|byte| *byte == 0))
        .filter(|line| !line.is_empty())
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let hops: Vec<HeaderValue> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let mut headers = HeaderMap::new();
    for token in &tokens {
        headers.append(header::AUTHORIZATION, token.clone());
    }
    for hop in &hops {
        headers.append("x-forwarded-for", hop.clone());
    }

    AUTH.with(|kept| {
        let auth = kept.get_or_init(auth);
        let (client, trusted) = auth.client_address(peer, &headers);
        assert_eq!((client, trusted), plain_walk(peer, &hops), "{peer} {hops:?}");
        let expected = if !is_allowed(client.0) {
            Some(ErrorKind::Forbidden)
        } else if tokens.len() == 1 && tokens[0].as_bytes() == format!("Bearer {TOKEN}").as_bytes() {
            None
        } else {
            Some(ErrorKind::Unauthorized)
        };
        assert_eq!(auth.check(client, &headers).err().map(|error| error.kind()), expected, "{client:?} {tokens:?}");
    });
});
