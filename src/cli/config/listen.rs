//! The address that the server listens on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use url::Host;

const EXPECTED: &str = "expected an address and a port (127.0.0.1:8000, [::1]:8000), a host name and a port (localhost:8000), \
                        a port (8000) of 127.0.0.1, or a Unix socket (unix:/run/roster/roster.sock)";
/// The prefix of the path of a Unix socket.
const UNIX: &str = "unix:";

/// A host, as an address or a name, and a port; or the path of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Address(SocketAddr),
    Name { host: String, port: u16 },
    Unix(PathBuf),
}

impl Listen {
    /// Parses `ADDRESS:PORT`, `NAME:PORT`, `PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// The expected format.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Ok(port) = text.parse() {
            return Ok(Self::Address(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            let is_path = cfg!(unix) && !path.is_empty() && !path.contains('\0');
            return if is_path { Ok(Self::Unix(path.into())) } else { Err(EXPECTED) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port = port.parse().map_err(|_| EXPECTED)?;
        match Host::parse(host).map_err(|_| EXPECTED)? {
            Host::Domain(host) => Ok(Self::Name { host, port }),
            Host::Ipv4(_) | Host::Ipv6(_) => Err(EXPECTED),
        }
    }

    /// Returns the addresses to try, IPv4 first. None for a Unix socket.
    ///
    /// # Errors
    /// The host name cannot be resolved.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Address(address) => Ok(vec![*address]),
            Self::Name { host, port } => {
                let mut addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), *port)).await?.collect();
                addresses.sort_by_key(SocketAddr::is_ipv6);
                Ok(addresses)
            }
            Self::Unix(_) => Ok(Vec::new()),
        }
    }

    /// Returns whether the address does not tell by which URL other machines reach the server: it listens on all addresses of this
    /// machine, or on a Unix socket.
    #[must_use]
    pub fn has_no_own_url(&self) -> bool {
        self.is_unspecified() || matches!(self, Self::Unix(_))
    }

    /// Returns whether this is the unspecified address: all addresses of the machine.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        matches!(self, Self::Address(address) if address.ip().to_canonical().is_unspecified())
    }

    /// Returns the URL by which a browser on the same machine reaches the server, without a trailing slash. The scheme is `http` or
    /// `https`.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        match self {
            // The unspecified address cannot be connected to; a server that listens on all addresses also listens on localhost.
            Self::Address(address) if self.is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
            // A proxy on the same machine, most likely.
            Self::Unix(_) => format!("{scheme}://localhost"),
            _ => format!("{scheme}://{self}"),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        let is_mapped = |ip: IpAddr| ip.to_canonical() != ip;
        Self::Address(if is_mapped(address.ip()) {
            SocketAddr::new(address.ip().to_canonical(), address.port())
        } else {
            address
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Name { host, port } => write!(formatter, "{host}:{port}"),
            Self::Unix(path) => write!(formatter, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_name_or_a_port_is_parsed() {
        let good = [
            ("8000", "127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("0", "127.0.0.1:0", "http://127.0.0.1:0"),
            ("127.0.0.1:8000", "127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("[::1]:8000", "[::1]:8000", "http://[::1]:8000"),
            ("0.0.0.0:80", "0.0.0.0:80", "http://localhost:80"),
            ("[::]:80", "[::]:80", "http://localhost:80"),
            ("[::ffff:0.0.0.0]:80", "[::ffff:0.0.0.0]:80", "http://localhost:80"),
            ("localhost:8000", "localhost:8000", "http://localhost:8000"),
            ("unix:/run/roster.sock", "unix:/run/roster.sock", "http://localhost"),
            ("unix:roster.sock", "unix:roster.sock", "http://localhost"),
            ("Roster.example.org:443", "roster.example.org:443", "http://roster.example.org:443"),
        ];
        for (text, shown, url) in good {
            let listen = Listen::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((listen.to_string().as_str(), listen.url("http").as_str()), (shown, url), "{text}");
        }
        let bad = [
            "",
            ":",
            ":8000",
            "nowhere",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:65536",
            "65536",
            "-1",
            "127.0.0.1",
            "127.0.0.1:65536",
            "256.0.0.1:80",
            "127.1:80",
            "::1:8000:x",
            "a b:80",
            "http://localhost:80",
            "ann@localhost:80",
            "unix:",
            "unix:a\0b",
        ];
        for text in bad {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }
}
