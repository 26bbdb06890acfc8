use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::config::Secret;

fn auth(token: &str, allowed: &[&str], trusted: &[&str]) -> Result<Auth, BindError> {
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    Auth::new(&config::Auth {
        token: Secret::new(token),
        allowed_ips: strings(allowed),
        trusted_proxies: strings(trusted),
        ..config::Auth::default()
    })
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn kind(auth: &Auth, from: &str, pairs: &[(&'static str, &str)]) -> Option<ErrorKind> {
    let headers = headers(pairs);
    let (client, _) = auth.client_address(from.parse().unwrap(), &headers);
    auth.check(client, &headers).err().map(|error| error.kind())
}

#[test]
fn without_token_and_list_everyone_passes() {
    let auth = auth("", &[], &[]).unwrap();
    assert_eq!(kind(&auth, "127.0.0.1", &[]), None);
    assert_eq!(kind(&auth, "8.8.8.8", &[]), None);
}

#[test]
fn the_token_must_be_there_right_and_with_its_scheme() {
    let auth = auth("s3cret", &[], &[]).unwrap();
    let unauthorized = Some(ErrorKind::Unauthorized);
    assert_eq!(kind(&auth, "::1", &[("authorization", "Bearer s3cret")]), None);
    for wrong in
        ["s3cret", "Bearer s3cre", "Bearer s3cret2", "bearer s3cret", "Bearer  s3cret", "Basic s3cret", "Bearer ", ""]
    {
        assert_eq!(kind(&auth, "::1", &[("authorization", wrong)]), unauthorized, "{wrong:?}");
    }
    assert_eq!(kind(&auth, "::1", &[]), unauthorized);
    let twice = [("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")];
    let mut map = HeaderMap::new();
    for (name, value) in twice {
        map.append(name, HeaderValue::from_static(value));
    }
    assert!(auth.check(ClientAddr("::1".parse().unwrap()), &map).is_err());
}

#[test]
fn the_list_takes_addresses_and_networks_and_mapped_ones() {
    let auth = auth("", &["10.0.0.0/8", "192.168.1.7", "fd00::/8", "nonsense"], &[]).unwrap();
    for ok in ["10.200.3.4", "192.168.1.7", "fd12::1", "::ffff:10.1.1.1"] {
        assert_eq!(kind(&auth, ok, &[]), None, "{ok}");
    }
    for no in ["11.0.0.1", "192.168.1.8", "fe80::1", "127.0.0.1"] {
        assert_eq!(kind(&auth, no, &[]), Some(ErrorKind::Forbidden), "{no}");
    }
}

#[test]
fn both_gates_apply() {
    let auth = auth("t", &["10.0.0.1"], &[]).unwrap();
    let good = ("authorization", "Bearer t");
    assert_eq!(kind(&auth, "10.0.0.1", &[good]), None);
    assert_eq!(kind(&auth, "10.0.0.1", &[]), Some(ErrorKind::Unauthorized));
    assert_eq!(kind(&auth, "10.0.0.2", &[good]), Some(ErrorKind::Forbidden));
}

#[test]
fn a_list_without_one_valid_entry_refuses_to_start() {
    assert_eq!(auth("", &["x", "10.0.0.0/33"], &[]).err(), Some(BindError::NoValidEntry("auth.allowed_ips")));
    assert_eq!(auth("", &[], &["x"]).err(), Some(BindError::NoValidEntry("auth.trusted_proxies")));
}

#[test]
fn forwarded_for_counts_only_from_trusted_proxies_and_from_the_right() {
    let auth = auth("", &["203.0.113.9"], &["127.0.0.1", "10.0.0.0/8"]).unwrap();
    let via = |from: &str, value: &str| kind(&auth, from, &[("x-forwarded-for", value)]);
    assert_eq!(via("127.0.0.1", "203.0.113.9"), None);
    assert_eq!(via("127.0.0.1", "203.0.113.9, 10.1.1.1"), None);
    assert_eq!(via("127.0.0.1", "203.0.113.9:4711"), None);
    let forbidden = Some(ErrorKind::Forbidden);
    // A client that writes the header itself: its own address stands to the right of the lie.
    assert_eq!(via("127.0.0.1", "203.0.113.9, 198.51.100.1"), forbidden);
    assert_eq!(via("198.51.100.1", "203.0.113.9"), forbidden);
    assert_eq!(via("127.0.0.1", "203.0.113.9, garbage"), forbidden);
    assert_eq!(via("127.0.0.1", ""), forbidden);
}

#[test]
fn a_hop_that_is_no_text_hides_none_to_its_right() {
    let auth = auth("", &["10.0.0.0/8"], &["10.0.0.0/8"]).unwrap();
    let via = |value: &str| kind(&auth, "10.0.0.1", &[("x-forwarded-for", value)]);
    // A proxy puts the caller's address behind whatever the caller wrote; without it this would pass for
    // the proxy's own call.
    assert_eq!(via("\u{e9}, 198.51.100.1"), Some(ErrorKind::Forbidden));
    assert_eq!(via("198.51.100.1, \u{e9}, 10.1.1.1"), None);
}

#[test]
fn the_bind_gate_follows_the_table() {
    let address = |s: &str| s.parse::<SocketAddr>().unwrap();
    for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
        assert_eq!(check_bind(address(local), false, None), Ok(()));
    }
    for open in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1"] {
        let open = address(open);
        assert_eq!(check_bind(open, false, Some("1")), Err(BindError::NoToken(open)));
        assert_eq!(check_bind(open, true, None), Err(BindError::NotConfirmed(open)));
        assert_eq!(check_bind(open, true, Some("0")), Err(BindError::NotConfirmed(open)));
        assert_eq!(check_bind(open, true, Some("1")), Ok(()));
    }
}

#[test]
fn debug_shows_no_token() {
    assert!(!format!("{:?}", auth("hunter2", &[], &[]).unwrap()).contains("hunter2"));
}

proptest! {
    #[test]
    fn comparing_agrees_with_equality(a in proptest::collection::vec(0_u8..3, 0..6), b in proptest::collection::vec(0_u8..3, 0..6)) {
        prop_assert_eq!(equal_in_constant_time(&a, &b), a == b);
    }
}
