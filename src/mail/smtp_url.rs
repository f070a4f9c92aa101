//! The URL of a mail server: host, port, encryption and login.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lettre::transport::smtp::client::{Certificate, TlsParameters};
use percent_encoding::percent_decode_str;
use url::Url;

/// The URL of a mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// A domain name in ASCII form, or an IP address.
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub login: Option<Login>,
}

/// The encryption of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the first byte.
    Always,
    /// STARTTLS; nothing is sent without it.
    Required,
    /// STARTTLS if the server offers it.
    Opportunistic,
    Never,
}

/// The user name and the password at the mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl SmtpUrl {
    /// Parses `smtps://user:password@host:465` or `smtp://user:password@host:587?tls=required|opportunistic|none`.
    ///
    /// # Errors
    /// The expected format, which repeats nothing of the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected smtps://user:password@host:465 or smtp://user:password@host:587, \
                            the latter optionally with ?tls=opportunistic or ?tls=none";
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(EXPECTED);
        }
        let encryption = match (url.scheme(), url.query()) {
            ("smtps", None) => Encryption::Always,
            ("smtp", None | Some("tls=required")) => Encryption::Required,
            ("smtp", Some("tls=opportunistic")) => Encryption::Opportunistic,
            ("smtp", Some("tls=none")) => Encryption::Never,
            _ => return Err(EXPECTED),
        };
        let host = host_of(&url).ok_or(EXPECTED)?;
        let port = url.port().unwrap_or(encryption.default_port());
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) if !user.is_empty() && !password.is_empty() => {
                Some(Login { user: decode(user).ok_or(EXPECTED)?, password: decode(password).ok_or(EXPECTED)? })
            }
            _ => return Err("expected both a user and a password, or neither"),
        };
        if login.is_some() && !encryption.is_guaranteed() && !is_this_machine(&host) {
            return Err("a password requires an encrypted connection, or a mail server on this machine");
        }
        if port == 0 { Err(EXPECTED) } else { Ok(Self { host, port, encryption, login }) }
    }
}

impl Encryption {
    fn default_port(self) -> u16 {
        match self {
            Self::Always => 465,
            Self::Required => 587,
            Self::Opportunistic | Self::Never => 25,
        }
    }

    fn is_guaranteed(self) -> bool {
        matches!(self, Self::Always | Self::Required)
    }
}

/// Shown without the password.
impl fmt::Display for SmtpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, query) = match self.encryption {
            Encryption::Always => ("smtps", ""),
            Encryption::Required => ("smtp", ""),
            Encryption::Opportunistic => ("smtp", "?tls=opportunistic"),
            Encryption::Never => ("smtp", "?tls=none"),
        };
        write!(formatter, "{scheme}://")?;
        if let Some(login) = &self.login {
            write!(formatter, "{}:***@", login.user.escape_default())?;
        }
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(formatter, "{host}:{}{query}", self.port)
    }
}

/// Shown without the password.
impl fmt::Debug for SmtpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Shown without the password.
impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Returns the host in the form in which it is resolved and in which certificates have it.
fn host_of(url: &Url) -> Option<String> {
    let host = decode(url.host_str()?)?;
    let host = match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']')?.to_owned(),
        None => idna::domain_to_ascii(&host).ok()?,
    };
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    (host.parse::<IpAddr>().is_ok() || host.split('.').all(is_label)).then_some(host)
}

fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

/// Returns whether a host is this machine, so that the connection cannot be intercepted.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Certificates of an authority that is trusted besides the public ones, and their file.
#[derive(Clone, Debug)]
pub struct CustomCa {
    file: PathBuf,
    certificates: Certificate,
}

impl CustomCa {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn read(file: &str) -> Result<Self, String> {
        let pem = std::fs::read(file).map_err(|error| error.to_string())?;
        let has_certificate = pem.windows(27).any(|text| text == b"-----BEGIN CERTIFICATE-----");
        let certificates = Certificate::from_pem(&pem).ok().filter(|_| has_certificate);
        let custom_ca = certificates.map(|certificates| Self { file: file.into(), certificates });
        custom_ca
            .filter(|custom_ca| tls_with("localhost", Some(custom_ca)).is_ok())
            .ok_or_else(|| "expected certificates in PEM format".to_owned())
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Returns the TLS parameters of connections to a host.
///
/// # Errors
/// The certificates of `custom_ca` cannot be used.
pub fn tls_with(host: &str, custom_ca: Option<&CustomCa>) -> Result<TlsParameters, String> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(custom_ca) = custom_ca {
        tls = tls.add_root_certificate(custom_ca.certificates.clone());
    }
    tls.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_a_url() {
        let good = [
            ("smtps://mail.example.org", "smtps://mail.example.org:465"),
            ("smtps://ann:secret@MAIL.example.org:4650/", "smtps://ann:***@mail.example.org:4650"),
            ("smtp://mail.example.org", "smtp://mail.example.org:587"),
            ("smtp://mail.example.org?tls=required", "smtp://mail.example.org:587"),
            ("smtp://mail.example.org/?tls=opportunistic", "smtp://mail.example.org:25?tls=opportunistic"),
            ("smtp://mail.example.org:2525?tls=none", "smtp://mail.example.org:2525?tls=none"),
            ("smtp://ann:secret@localhost?tls=none", "smtp://ann:***@localhost:25?tls=none"),
            ("smtp://ann:secret@127.0.0.1:25?tls=opportunistic", "smtp://ann:***@127.0.0.1:25?tls=opportunistic"),
            ("smtp://ann:secret@[::1]:2525?tls=none", "smtp://ann:***@[::1]:2525?tls=none"),
            ("smtp://[2001:db8::1]", "smtp://[2001:db8::1]:587"),
            ("smtp://münchen.example", "smtp://xn--mnchen-3ya.example:587"),
            (
                "smtps://ann%40example.org:s%3Ae%2Fc@mail.example.org",
                "smtps://ann@example.org:***@mail.example.org:465",
            ),
        ];
        for (text, expected) in good {
            let url = SmtpUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.to_string(), expected, "{text}");
            assert!(!format!("{url:?} {:?}", url.login).contains("secret"));
        }
        let url = SmtpUrl::parse("smtps://a%40b:s%3Ae%2Fc+%C3%A9@mail.example.org").unwrap();
        assert_eq!(url.login, Some(Login { user: "a@b".to_owned(), password: "s:e/c+é".to_owned() }));
        assert_eq!(SmtpUrl::parse("smtp://[::1]").unwrap().host, "::1");
    }

    #[test]
    fn an_invalid_url_is_rejected_without_showing_it() {
        for text in [
            "",
            "mail.example.org",
            "mail.example.org:25",
            "http://mail.example.org",
            "smtp:mail.example.org",
            "smtp://",
            "smtp://:25",
            "smtp://ann:secret@",
            "smtp://ann:secret@:25",
            "smtp://mail..example.org",
            "smtp://mail example.org",
            "smtp://mail%0aexample.org",
            "smtp://mail.example.org:port",
            "smtp://mail.example.org:0",
            "smtp://mail.example.org:65536",
            "smtp://mail.example.org/path",
            "smtp://mail.example.org#x",
            "smtp://mail.example.org?tls",
            "smtp://mail.example.org?tls=perhaps",
            "smtp://mail.example.org?tls=none&tls=required",
            "smtp://mail.example.org?starttls=no",
            "smtps://mail.example.org?tls=none",
            "smtps://ann@mail.example.org",
            "smtps://ann:@mail.example.org",
            "smtps://:secret@mail.example.org",
            "smtps://ann:secret%ff@mail.example.org",
            "smtps://ann:secret%00@mail.example.org",
            "smtp://ann:secret@mail.example.org?tls=none",
            "smtp://ann:secret@mail.example.org?tls=opportunistic",
            "smtp://ann:secret@192.0.2.1?tls=none",
            "smtp://ann:secret@localhost.example.org?tls=none",
            "smtp://ann:secret@127.0.0.1.example.org?tls=none",
        ] {
            let error = SmtpUrl::parse(text).map(|url| url.to_string()).expect_err(text);
            assert!(!error.contains("secret"), "{text}");
        }
    }
}
