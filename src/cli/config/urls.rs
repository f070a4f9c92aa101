//! The URLs of the server, and those of pages that it trusts.

use super::Settings;
use super::listen::Listen;
use super::settings::DEFAULT_LISTEN;
use crate::auth::redirect::{AllowedPrefix, NextUrls};
use crate::http;

/// The refusal of a build without the export of traces.
const NO_OTLP: &str = "this program was built without the cargo feature `otlp`, which exports traces; \
                       expected a program built by `cargo build --release --features otlp`";

/// The URL of the playground, relative to another page of the server.
const PLAYGROUND: &str = "./";

impl Settings {
    /// Returns the URL by which a browser on the same machine reaches the server, without a trailing slash.
    #[must_use]
    pub fn own_url(&self, listen: &Listen) -> String {
        listen.url(if self.tls.is_set() { "https" } else { "http" })
    }

    /// Returns the URL at which users reach the server: the public URL, or by default the one derived from `listen`.
    #[must_use]
    pub fn public_url(&self, listen: &Listen) -> String {
        self.public_url.clone().unwrap_or_else(|| self.own_url(listen))
    }

    /// Returns the URL at which users reach the server unless it is the default.
    #[must_use]
    pub fn url_if_set(&self) -> Option<String> {
        let listens_elsewhere = self.listen.to_string() != DEFAULT_LISTEN;
        self.public_url.clone().or_else(|| listens_elsewhere.then(|| self.own_url(&self.listen)))
    }

    /// Returns the URLs to which users may be redirected: those that are set, or by default the public URL.
    #[must_use]
    pub fn next_urls(&self, public_url: &str) -> NextUrls {
        if !self.next_urls.is_empty() {
            return NextUrls::new(self.next_urls.clone());
        }
        // Parsed and serialized, so that the URL has the form in which browsers send it. One that does not parse allows no
        // redirects.
        let public = url::Url::parse(public_url).ok();
        NextUrls::new(public.and_then(|url| AllowedPrefix::parse(url.as_str()).ok()).into_iter().collect())
    }

    /// Returns the URL at which users sign in, for a page of the server: the first one to which they may be redirected, or by
    /// default the playground, if it is served.
    #[must_use]
    pub fn sign_in_url(&self) -> Option<String> {
        let playground = || self.playground.then(|| PLAYGROUND.to_owned());
        self.next_urls.first().map(ToString::to_string).or_else(playground)
    }

    /// Returns the origins whose pages may use the API: those that are set, that of the public URL, and those of the URLs to which
    /// users are redirected with the token of their session. Each once.
    #[must_use]
    pub fn all_allowed_origins(&self, public_url: &str) -> Vec<http::Origin> {
        let own = url::Url::parse(public_url).ok().map(|url| http::Origin::of(&url.origin()));
        let next = self.next_urls(public_url);
        let mut origins: Vec<http::Origin> = Vec::new();
        for origin in self.allowed_origins.iter().cloned().chain(own).chain(next.origins()) {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        origins
    }
}

const PUBLIC_URL: &str = "expected http(s)://host/path";

/// Checks a public URL.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| format!("{PUBLIC_URL} ({error})"))?;
    let is_valid = matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none();
    if is_valid && url.fragment().is_none() { Ok(text.to_owned()) } else { Err(PUBLIC_URL.to_owned()) }
}

/// Returns whether browsers shall reach the host of a public URL by HTTPS only. Not `localhost`: that would hold for every other
/// server on the machine of the browser. For an IP address, browsers would ignore it.
pub(super) fn requires_https(public_url: &str) -> bool {
    let url = url::Url::parse(public_url).ok().filter(|url| url.scheme() == "https");
    url.is_some_and(|url| matches!(url.host(), Some(url::Host::Domain(name)) if name != "localhost"))
}

/// Checks the URL of an OpenTelemetry collector.
pub(super) fn otlp_endpoint(text: &str) -> Result<String, String> {
    if !cfg!(feature = "otlp") {
        return Err(NO_OTLP.to_owned());
    }
    let url = public_url(text)?;
    if url.contains('@') { Err("expected http(s)://host:port, without a password".to_owned()) } else { Ok(url) }
}
