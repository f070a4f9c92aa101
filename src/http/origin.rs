//! The origin of the page that opens a WebSocket. Browsers let every page open one, to any host, so the server must look.

use poem::http::{
    HeaderMap, StatusCode, header,
    uri::{Authority, Uri},
};

use super::error::HttpError;
use crate::error::TopLevelCode;

/// Checks that a request comes from no page, or from one of the host that it is sent to. A setting for the origins of other pages
/// would be looked up here.
///
/// # Errors
/// 403 if not.
pub fn check(headers: &HeaderMap) -> Result<(), HttpError> {
    if !headers.contains_key(header::ORIGIN) || is_same_origin(headers) {
        return Ok(());
    }
    let message = "Origin: a page of another origin must not open a WebSocket";
    Err(HttpError::new(StatusCode::FORBIDDEN, TopLevelCode::Forbidden, message))
}

/// Returns whether the only origin has the host and port of the request. The scheme may differ: a proxy may receive what is
/// encrypted.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next().filter(|_| origins.next().is_none()).and_then(|origin| origin.to_str().ok());
    let Some(origin) = origin.and_then(|origin| origin.parse::<Uri>().ok()) else { return false };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let (Some(origin), Some(host)) = (origin.authority(), host) else { return false };
    let port = |of: &Authority| of.port_u16().unwrap_or(default_port);
    origin.host().eq_ignore_ascii_case(host.host()) && port(origin) == port(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(host: &str, origins: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers).is_ok()
    }

    #[test]
    fn only_pages_of_the_same_host_and_port_are_allowed() {
        for (host, origin) in [
            ("people.example.org", "https://people.example.org"),
            ("people.example.org", "http://people.example.org"),
            ("people.example.org:443", "https://people.example.org"),
            ("PEOPLE.example.org", "https://people.EXAMPLE.org:443"),
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("[::1]:8000", "http://[::1]:8000"),
        ] {
            assert!(is_allowed(host, &[origin]), "{host} {origin}");
        }
        for (host, origin) in [
            ("people.example.org", "https://example.org"),
            ("people.example.org", "https://people.example.org.evil.example"),
            ("people.example.org", "https://people.example.org@evil.example"),
            ("people.example.org", "https://people.example.org:8443"),
            ("people.example.org:8443", "https://people.example.org"),
            ("people.example.org", "null"),
            ("people.example.org", ""),
            ("people.example.org", "people.example.org"),
            ("people.example.org", "ftp://people.example.org"),
            ("127.0.0.1:8000", "http://localhost:8000"),
        ] {
            assert!(!is_allowed(host, &[origin]), "{host} {origin}");
        }
        assert!(is_allowed("people.example.org", &[]), "programs send no origin");
        assert!(!is_allowed("people.example.org", &["https://people.example.org", "https://people.example.org"]));
    }
}
