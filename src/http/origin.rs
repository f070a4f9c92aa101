//! The origin of the page that opens a WebSocket. Browsers let every page open one, to any host, so the server must look.

use poem::http::{
    HeaderMap, StatusCode, header,
    uri::{Authority, Uri},
};

use super::error::HttpError;
use crate::error::TopLevelCode;

/// Checks that a request comes from no page, or from one of the server: of the host that it is sent to, or of the public origin,
/// because a proxy may send another host. A setting for the origins of other pages would be looked up here.
///
/// # Errors
/// 403 if not.
pub fn check(headers: &HeaderMap, public_origin: Option<&str>) -> Result<(), HttpError> {
    if !headers.contains_key(header::ORIGIN) {
        return Ok(());
    }
    if let Some(origin) = only_origin(headers)
        && (public_origin.is_some_and(|public| origin.eq_ignore_ascii_case(public)) || has_host_of(headers, origin))
    {
        return Ok(());
    }
    let message = "Origin: a page of another origin must not open a WebSocket";
    Err(HttpError::new(StatusCode::FORBIDDEN, TopLevelCode::Forbidden, message))
}

/// Returns the origin of a request; `None` if there are several.
fn only_origin(headers: &HeaderMap) -> Option<&str> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none()).and_then(|origin| origin.to_str().ok())
}

/// Returns whether an origin has the host and port of the request. The scheme may differ: a proxy may receive what is encrypted.
fn has_host_of(headers: &HeaderMap, origin: &str) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
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

    const PUBLIC: &str = "https://people.example.org";

    fn is_allowed_with(public_origin: Option<&str>, host: &str, origins: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers, public_origin).is_ok()
    }

    fn is_allowed(host: &str, origins: &[&str]) -> bool {
        is_allowed_with(None, host, origins)
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

    #[test]
    fn pages_of_the_public_origin_are_allowed_behind_a_proxy_that_sends_another_host() {
        let host = "roster.internal:8000";
        for origin in [PUBLIC, "https://PEOPLE.example.org"] {
            assert!(is_allowed_with(Some(PUBLIC), host, &[origin]), "{origin}");
            assert!(!is_allowed(host, &[origin]), "{origin}");
        }
        assert!(is_allowed_with(Some(PUBLIC), host, &["http://roster.internal:8000"]), "a page of the host itself");
        for origin in [
            "http://people.example.org",
            "https://people.example.org:8443",
            "https://people.example.org/",
            "https://people.example.org.evil.example",
            "https://people.example.org@evil.example",
            "https://evil.example",
            "null",
            "",
        ] {
            assert!(!is_allowed_with(Some(PUBLIC), host, &[origin]), "{origin}");
        }
        assert!(!is_allowed_with(Some(PUBLIC), host, &[PUBLIC, PUBLIC]));
        assert!(is_allowed_with(Some(PUBLIC), host, &[]), "programs send no origin");
    }
}
