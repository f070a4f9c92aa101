//! The client that sends a request, and the network by which limits count it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::i18n::language::Language;

/// The sender of a request.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub ip_address: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// The language that the client prefers, of those that Roster supports.
    pub language: Language,
    /// The ID of the request in the log.
    pub request_id: Option<String>,
}

/// The length of the prefix of an IPv6 address that identifies a subscriber (RFC 6177 gives sites at least as much); the
/// subscriber chooses the rest.
const IPV6_SUBSCRIBER_BITS: u8 = 64;

/// Returns the network that an address counts as: an IPv4 address itself, also if it is mapped into IPv6, or the /64 of an IPv6
/// address.
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
