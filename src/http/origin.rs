//! The origins of pages: of which pages browsers may send requests. Browsers let every page open a WebSocket, to any host, so the
//! server must look.

use std::fmt;

use poem::http::{
    HeaderMap, HeaderValue, StatusCode, header,
    uri::{Authority, Uri},
};

use super::error::HttpError;
use crate::error::TopLevelCode;

const EXPECTED: &str =
    "expected the origin of a page: http(s)://host[:port] without a path, such as https://app.example.org";
const NO_WILDCARD: &str = "* is not allowed; name each origin, such as https://app.example.org";

/// The origin of a page, in the form in which browsers send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Parses `http(s)://host[:port]`.
    ///
    /// # Errors
    /// A message for users that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.contains('*') {
            return Err(NO_WILDCARD.to_owned());
        }
        let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let origin = Self::of(&url.ok_or(EXPECTED)?.origin());
        if origin.0 == text { Ok(origin) } else { Err(format!("{EXPECTED}; did you mean {origin}?")) }
    }

    /// Returns the origin of a parsed URL.
    #[must_use]
    pub fn of(origin: &url::Origin) -> Self {
        Self(origin.ascii_serialization())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Returns the origin of a request if it is one of those that are allowed.
pub fn allowed<'a>(headers: &'a HeaderMap, origins: &[Origin]) -> Option<&'a HeaderValue> {
    let mut sent = headers.get_all(header::ORIGIN).iter();
    let origin = sent.next().filter(|_| sent.next().is_none())?;
    origins.iter().any(|allowed| allowed.0.as_bytes() == origin.as_bytes()).then_some(origin)
}

/// Checks that a request comes from no page, from one of the host that it is sent to, or from one of an allowed origin.
///
/// # Errors
/// 403 if not.
pub fn check(headers: &HeaderMap, origins: &[Origin]) -> Result<(), HttpError> {
    if !headers.contains_key(header::ORIGIN) || is_same_origin(headers) || allowed(headers, origins).is_some() {
        return Ok(());
    }
    Err(forbidden())
}

/// Returns the error for a page whose origin is not allowed.
pub fn forbidden() -> HttpError {
    let message =
        "Origin: pages of this origin are not allowed; the operator of the server can add it to --allowed-origins";
    HttpError::new(StatusCode::FORBIDDEN, TopLevelCode::Forbidden, message)
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

    fn is_allowed(host: &str, sent: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        for origin in sent {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers, &[Origin::parse("https://app.example.org").unwrap()]).is_ok()
    }

    #[test]
    fn only_pages_of_the_same_host_and_port_and_of_allowed_origins_are_allowed() {
        for (host, origin) in [
            ("people.example.org", "https://people.example.org"),
            ("people.example.org", "http://people.example.org"),
            ("people.example.org:443", "https://people.example.org"),
            ("PEOPLE.example.org", "https://people.EXAMPLE.org:443"),
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("[::1]:8000", "http://[::1]:8000"),
            ("people.example.org", "https://app.example.org"),
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
            ("people.example.org", "http://app.example.org"),
            ("people.example.org", "https://app.example.org:444"),
            ("people.example.org", "https://app.example.org/"),
            ("people.example.org", "https://x.app.example.org"),
        ] {
            assert!(!is_allowed(host, &[origin]), "{host} {origin}");
        }
        assert!(is_allowed("people.example.org", &[]), "programs send no origin");
        assert!(!is_allowed("people.example.org", &["https://people.example.org", "https://people.example.org"]));
    }
    #[test]
    fn an_origin_is_parsed_only_as_browsers_send_it() {
        for text in ["https://app.example.org", "http://localhost:5173", "http://[::1]:8000", " https://a.example "] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), text.trim(), "{text}");
        }
        for (text, hint) in [
            ("*", "* is not allowed"),
            ("https://*.example.org", "* is not allowed"),
            ("", "expected"),
            ("null", "expected"),
            ("app.example.org", "expected"),
            ("ftp://app.example.org", "expected"),
            ("https://", "expected"),
            ("https://app.example.org/", "did you mean https://app.example.org?"),
            ("https://app.example.org/welcome", "did you mean https://app.example.org?"),
            ("https://app.example.org:443", "did you mean https://app.example.org?"),
            ("https://App.example.org", "did you mean https://app.example.org?"),
            ("https://ann:secret@app.example.org", "did you mean https://app.example.org?"),
        ] {
            let error = Origin::parse(text).unwrap_err();
            assert!(error.contains(hint) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
