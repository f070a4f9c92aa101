//! The address of a client behind a proxy: X-Forwarded-For is trusted only if it comes from a trusted proxy.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ipnet::{IpNet, Ipv4Net};
use poem::http::{HeaderMap, HeaderValue};

const FORWARDED_FOR: &str = "x-forwarded-for";
/// The length of the prefix of IPv6 addresses that contain an IPv4 address, in bits.
const MAPPED: u8 = 96;
/// The time within which at most one warning about a peer is logged.
const WARN_INTERVAL: Duration = Duration::from_hours(1);
/// Maximum number of peers that are remembered; with more, no warning is logged for the others, so that no client can fill the
/// log.
const MAX_WARNED: usize = 100;

/// The proxies whose X-Forwarded-For is trusted.
pub struct Proxies {
    trusted: Vec<IpNet>,
    warned: Mutex<HashMap<Option<IpAddr>, Instant>>,
}

impl Proxies {
    /// Creates proxies from their networks.
    pub fn new(trusted: Vec<IpNet>) -> Self {
        Self { trusted, warned: Mutex::default() }
    }

    /// Returns the address that a request comes from, as [`address`] does. `None` is the peer of a Unix socket, which is trusted: only
    /// a proxy that may write to the file can connect. A warning is logged if the clients of a proxy share one address: because an
    /// untrusted peer sends X-Forwarded-For, or because the peer of the Unix socket does not.
    pub fn address(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        let peer = peer.map(|peer| peer.to_canonical());
        match peer {
            Some(peer) => self.warn_of_untrusted(peer, headers),
            None => self.warn_of_missing(headers),
        }
        address(peer, headers, &self.trusted)
    }

    fn warn_of_untrusted(&self, peer: IpAddr, headers: &HeaderMap) {
        let is_trusted = self.trusted.iter().any(|network| network.contains(&peer));
        if headers.contains_key(FORWARDED_FOR) && !is_trusted && self.must_warn(Some(peer), Instant::now()) {
            tracing::warn!(
                %peer,
                "X-Forwarded-For is ignored, because the peer is not a trusted proxy; if it is yours, add it to --trusted-proxies"
            );
        }
    }

    fn warn_of_missing(&self, headers: &HeaderMap) {
        let is_missing = forwarded(headers).next().flatten().is_none();
        if is_missing && self.must_warn(None, Instant::now()) {
            tracing::warn!(
                "a request through the Unix socket has no valid X-Forwarded-For; all such requests share the limits of one address, \
                 so let the proxy send the address of the client"
            );
        }
    }

    fn must_warn(&self, peer: Option<IpAddr>, now: Instant) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.get(&peer).is_some_and(|at| now.duration_since(*at) < WARN_INTERVAL) {
            return false;
        }
        if warned.len() >= MAX_WARNED {
            warned.retain(|_, at| now.duration_since(*at) < WARN_INTERVAL);
        }
        if warned.len() >= MAX_WARNED {
            return false;
        }
        warned.insert(peer, now);
        true
    }
}

/// Parses a network or a single address.
///
/// # Errors
/// A message for users if the text is neither.
pub fn network(text: &str) -> Result<IpNet, &'static str> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)));
    match network.map_err(|_| "expected an IP address or a network, such as 10.0.0.0/8")? {
        IpNet::V6(network) if network.prefix_len() >= MAPPED => Ok(network
            .addr()
            .to_ipv4_mapped()
            .and_then(|address| Ipv4Net::new(address, network.prefix_len() - MAPPED).ok())
            .map_or(IpNet::V6(network), IpNet::V4)),
        network => Ok(network),
    }
}

/// Returns the address that a request comes from: the peer or, if that is a trusted proxy, the last forwarded address that is not
/// a trusted proxy itself. Addresses before that one may be forged. The peer of a Unix socket, `None`, counts as a trusted proxy of
/// this machine.
fn address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_in_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut forwarded = forwarded(headers);
    let mut last = peer.map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.to_canonical());
    let mut is_trusted = peer.is_none() || is_in_trusted(last);
    while is_trusted {
        match forwarded.next().flatten() {
            Some(before) => last = before,
            None => break,
        }
        is_trusted = is_in_trusted(last);
    }
    last
}

/// Returns the forwarded addresses, the last one first; `None` for an entry that is not an address.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let lines: Vec<&HeaderValue> = headers.get_all(FORWARDED_FOR).iter().collect();
    lines.into_iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(',').map(entry))
}

/// Parses one entry of the header: an address, with or without a port; an IPv6 address may be in brackets.
fn entry(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let in_brackets =
        || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(|address: Ipv6Addr| IpAddr::V6(address));
    text.parse().ok().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, lines: &[&str]) -> String {
        let trusted =
            ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48", "::ffff:192.168.0.0/112"].map(|net| network(net).unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let peer = (peer != "unix").then(|| peer.parse().unwrap());
        address(peer, &headers, &trusted).to_string()
    }

    #[test]
    fn the_peer_of_a_unix_socket_is_a_trusted_proxy() {
        let cases: [(&[&str], &str); 4] = [
            (&[], "127.0.0.1"),
            (&["unknown"], "127.0.0.1"),
            (&["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
            (&["203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ];
        for (lines, expected) in cases {
            assert_eq!(of("unix", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_untrusted_peer_is_the_client() {
        for peer in ["203.0.113.9", "127.0.0.2", "2001:db8:2::1"] {
            assert_eq!(of(peer, &["198.51.100.1"]), peer);
        }
        assert_eq!(of("::ffff:203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn the_last_address_that_is_not_a_proxy_is_the_client() {
        let cases: [(&[&str], &str); 16] = [
            (&[], "127.0.0.1"),
            (&["203.0.113.9"], "203.0.113.9"),
            (&["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
            (&["1.2.3.4, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
            (&["1.2.3.4", "203.0.113.9,10.1.2.3", "10.9.9.9 , 192.168.0.7"], "203.0.113.9"),
            (&["10.1.2.3, 10.4.5.6"], "10.1.2.3"),
            (&["1.2.3.4, unknown, 10.1.2.3"], "10.1.2.3"),
            (&["1.2.3.4, 10.1.2.3, "], "127.0.0.1"),
            (&["1.2.3.4", ""], "127.0.0.1"),
            (&["1.2.3.4, \u{fc}"], "127.0.0.1"),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["2001:DB8:2::1"], "2001:db8:2::1"),
            (&["[2001:db8:2::1]"], "2001:db8:2::1"),
            (&["[2001:db8:2::1]:443, [2001:db8:1::1]:443"], "2001:db8:2::1"),
            (&["203.0.113.9, ::ffff:10.0.0.1"], "203.0.113.9"),
            (&["::ffff:203.0.113.9"], "203.0.113.9"),
        ];
        for (lines, expected) in cases {
            assert_eq!(of("127.0.0.1", lines), expected, "{lines:?}");
            assert_eq!(of("::ffff:127.0.0.1", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn each_peer_is_logged_once_an_hour_and_at_most_a_hundred_peers() {
        let (proxies, start) = (Proxies::new(Vec::new()), Instant::now());
        let peer = |n: u8| Some(IpAddr::from([203, 0, 113, n]));
        let later = |minutes: u64| start + Duration::from_mins(minutes);
        assert!(proxies.must_warn(peer(1), start));
        assert!(!proxies.must_warn(peer(1), later(59)) && proxies.must_warn(peer(1), later(60)));
        let warned = (0..200).filter(|n| proxies.must_warn(peer(*n), later(60))).count();
        assert_eq!(warned, MAX_WARNED - 1);
        assert!(!proxies.must_warn(peer(250), later(119)) && proxies.must_warn(peer(250), later(120)));
    }

    #[test]
    fn invalid_networks_are_rejected() {
        for text in ["", "10.0.0.0/33", "10.0.0", "example.org", "10.0.0.0/8/8", "::/129", "*"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
