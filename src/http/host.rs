//! Validation of the Host header (RFC 9112, 3.2).

use std::net::Ipv6Addr;

use poem::{
    Request,
    http::{HeaderValue, Version, header, uri::Authority},
};

use super::error::HttpError;

/// Adds the Host header to a request by HTTP/2, which names its host as a part of the URL instead (RFC 9113, 8.3.1).
pub fn add_of_http2(request: &mut Request) {
    if request.version() < Version::HTTP_2 || request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// Checks that a request names one host: in HTTP/1.1 exactly once, in HTTP/1.0 at most once.
///
/// # Errors
/// 400 if not.
pub fn check(request: &Request) -> Result<(), HttpError> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        (None, _) => {
            Err(HttpError::bad_request("Host: this header is required in HTTP/1.1, such as people.example.org"))
        }
        (Some(_), Some(_)) => Err(HttpError::bad_request("Host: this header must be given once")),
        (Some(host), None) if is_host(host) => Ok(()),
        _ => Err(HttpError::bad_request("Host: must be a host name or an IP address, such as people.example.org:8000")),
    }
}

/// Returns whether this is a host with or without a port (RFC 9110, 7.2; RFC 3986, 3.2).
fn is_host(value: &HeaderValue) -> bool {
    let Some(authority) = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) else { return false };
    let host = authority.host();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte))
    };
    let is_valid_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    let port = authority.as_str().strip_prefix(host);
    is_valid_host && port.is_some_and(|port| port.is_empty() || port == ":" || authority.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        let good = [
            "x",
            "people.example.org",
            "people.example.org.",
            "PEOPLE.example.org:8000",
            "xn--mnchen-3ya.example",
            "under_score.example.org",
            "127.0.0.1:65535",
            "[::1]",
            "[2001:db8::1]:443",
            "example.org:",
        ];
        for host in good {
            assert!(is_host(&HeaderValue::from_static(host)), "{host}");
        }
        let bad = [
            "",
            " ",
            ":",
            ":80",
            "a b",
            "a,b.example.org:x",
            "ann@example.org",
            "ann:secret@example.org",
            "example.org/path",
            "example.org?x",
            "example.org#x",
            "http://example.org",
            "example.org:port",
            "example.org:65536",
            "example.org:80:80",
            "example.org:-1",
            "[::1",
            "::1",
            "[zz]",
            "[::1]x",
            "[::1]:x",
            "[127.0.0.1]",
            "<script>",
            "a\"b",
            "a\\b",
            "%00",
        ];
        for host in bad {
            assert!(!is_host(&HeaderValue::from_static(host)), "{host}");
        }
        assert!(!is_host(&HeaderValue::from_bytes("m\u{fc}nchen.example".as_bytes()).unwrap()));
    }
}
