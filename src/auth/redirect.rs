//! Redirects: the URLs to which users may be redirected. The session's token is passed along after the `#`, so a URL that reads
//! as one site and leads to another would disclose it.

#[cfg(test)]
mod tests;

use std::fmt;

use url::{Host, Origin};

use crate::http;
use crate::scalar::Url;
use crate::validation::ValidationError;

/// The most characters of a URL.
const MAX_URL_LENGTH: usize = 1_000;

const EXPECTED: &str = "Must be a plain http(s) URL, such as https://www.example.org/welcome, without user information, \
                        a fragment (#), spaces, .. or encoded slashes.";

/// An allowed prefix of redirect URLs: an origin, and the path at or below which they must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedPrefix {
    origin: Origin,
    /// The path without its trailing slash.
    path: String,
}

impl AllowedPrefix {
    /// Parses `http(s)://host[:port][/path]`.
    ///
    /// # Errors
    /// A description of the expected form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = parse_unambiguous(text).filter(|url| url.query().is_none());
        let url = url.ok_or("expected http(s)://host[:port][/path], as a browser shows it, and nothing else")?;
        Ok(Self { origin: url.origin(), path: url.path().trim_end_matches('/').to_owned() })
    }

    fn covers(&self, url: &url::Url) -> bool {
        let below = url.path().strip_prefix(&self.path);
        self.origin == url.origin() && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

impl fmt::Display for AllowedPrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin.ascii_serialization(), self.path)
    }
}

/// The allowed prefixes of redirect URLs.
#[derive(Clone, Debug)]
pub struct NextUrls(Vec<AllowedPrefix>);

impl NextUrls {
    /// Allows URLs below these prefixes and no others.
    #[must_use]
    pub fn new(allowed: Vec<AllowedPrefix>) -> Self {
        Self(allowed)
    }

    /// Returns the origins of the URLs.
    pub fn origins(&self) -> impl Iterator<Item = http::Origin> + '_ {
        self.0.iter().map(|allowed| http::Origin::of(&allowed.origin))
    }

    /// Returns the URL as a browser writes it, if redirects to it are allowed.
    ///
    /// # Errors
    /// `ValidationError` if the URL is too long, not plain, or not allowed.
    pub fn check(&self, text: &str) -> Result<Url, ValidationError> {
        if text.chars().count() > MAX_URL_LENGTH {
            return Err(ValidationError::too_long(MAX_URL_LENGTH));
        }
        let url = parse_unambiguous(text).ok_or_else(|| ValidationError::invalid(EXPECTED))?;
        if !self.0.iter().any(|allowed| allowed.covers(&url)) {
            return Err(ValidationError::invalid("Must be a URL to which this server is allowed to redirect."));
        }
        if url.as_str().len() > MAX_URL_LENGTH {
            Err(ValidationError::too_long(MAX_URL_LENGTH))
        } else {
            Ok(Url(url.into()))
        }
    }
}

impl fmt::Display for NextUrls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&allowed.join(", "))
    }
}

/// Parses a URL that is unambiguous. Returns `None` if a browser, or the server of the URL, could read it as something other
/// than what is written.
fn parse_unambiguous(text: &str) -> Option<url::Url> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#')) {
        return None;
    }
    let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let authority = rest.split(['/', '?']).next()?;
    let path = rest.strip_prefix(authority)?.split('?').next()?;
    let url = url::Url::parse(text).ok()?;
    let same_path = url.path() == if path.is_empty() { "/" } else { path };
    (url.scheme() == scheme && is_origin_of(authority, &url) && same_path && is_plain(path)).then_some(url)
}

/// Returns whether an authority is exactly the host that will be requested, with its port, or without the default one.
fn is_origin_of(authority: &str, url: &url::Url) -> bool {
    let is_name = match url.host() {
        // A name that ends with a dot is the same host under another origin.
        Some(Host::Domain(name)) => {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            name.split('.').all(|label| !label.is_empty() && label.bytes().all(is_letter))
        }
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    let (Some(host), Some(port), true) = (url.host_str(), url.port_or_known_default(), is_name) else { return false };
    let with_port = authority.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
    (authority == host && url.port().is_none()) || (port != 0 && with_port == Some(port.to_string().as_str()))
}

/// Returns whether every server reads the segments of a path alike.
fn is_plain(path: &str) -> bool {
    let mut segments = path.strip_prefix('/').unwrap_or_default().split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        // Many servers answer `//host` or `/path//host` with a redirect to that host, and the browser takes the token along.
        if (segment.is_empty() && !is_last) || !is_plain_segment(segment) {
            return false;
        }
    }
    true
}

fn is_plain_segment(segment: &str) -> bool {
    // Some servers read `..;x` as `..`.
    let is_dot_segment = segment == "." || [".;", ".%", ".."].iter().any(|prefix| segment.starts_with(prefix));
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let is_allowed = match byte {
            b'%' => decode_percent(bytes.next(), bytes.next())
                .is_some_and(|byte| !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\' | b'.' | b'%')),
            // The characters allowed in a path (RFC 3986, section 3.3). Browsers differ in how they read others.
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !is_allowed {
            return false;
        }
    }
    !is_dot_segment
}

fn decode_percent(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}
