//! The client that sends a request, and the network that limits count it by.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::i18n::language::Language;

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub ip_address: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// What the one who asks reads, of the languages that Roster writes.
    pub language: Language,
    /// By which its traces are found in the log.
    pub request_id: Option<String>,
}

/// The part of an IPv6 address that is one subscriber's (RFC 6177 gives sites at least as much); the rest is theirs to
/// choose.
const IPV6_SUBSCRIBER_BITS: u8 = 64;

/// The network that an address counts as: the address itself of IPv4, also where it is mapped into IPv6, and its /64 of IPv6.
#[must_use]
pub fn client_network(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    match address {
        IpAddr::V4(_) => IpNet::from(address),
        IpAddr::V6(_) => {
            IpNet::new(address, IPV6_SUBSCRIBER_BITS).map_or(IpNet::from(address), |network| network.trunc())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_one_network() {
        for (address, network) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("::ffff:192.0.2.1", "192.0.2.1/32"),
            ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::3", "2001:db8:1:3::/64"),
        ] {
            assert_eq!(client_network(address.parse().unwrap()), network.parse().unwrap(), "{address}");
        }
    }
}
