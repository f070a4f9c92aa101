//! The sender of a request, read from its socket and headers.

use std::net::IpAddr;

use poem::{
    Addr, Request,
    http::{HeaderMap, HeaderValue, header},
};

use super::{client_ip::Proxies, error::HttpError};
use crate::i18n::language::Language;

const MAX_USER_AGENT: usize = 256;
const MAX_TOKEN: usize = 1024;
/// The kind of address that the peers of a Unix socket have.
pub const UNIX_PEER: &str = "unix";

/// The sender of a request, as far as HTTP tells. Not `Debug`, because it holds a secret.
#[derive(Clone)]
pub struct Caller {
    pub token: Option<String>,
    /// The address that the request comes from: the peer of the socket or, if that is a trusted proxy, the client behind it.
    pub address: IpAddr,
    pub user_agent: Option<String>,
    /// The language that the caller prefers, of those that Roster supports.
    pub language: Language,
    pub request_id: String,
}

impl Caller {
    /// Reads the caller of a request.
    ///
    /// # Errors
    /// 401 for a malformed Authorization header.
    pub fn from_request(request: &Request, request_id: &str, proxies: &Proxies) -> Result<Self, HttpError> {
        let peer = match &**request.remote_addr() {
            Addr::SocketAddr(peer) => Some(peer.ip()),
            Addr::Custom(UNIX_PEER, _) => None,
            _ => return Err(HttpError::internal()),
        };
        let user_agent = request.header(header::USER_AGENT).map(|text| text.chars().take(MAX_USER_AGENT).collect());
        Ok(Self {
            token: token(request.headers())?,
            address: proxies.address(peer, request.headers()),
            user_agent,
            language: Language::of_headers(request.headers()).unwrap_or_default(),
            request_id: request_id.to_owned(),
        })
    }
}

/// Returns the bearer token. `None` if the Authorization header is missing or empty; an error if it is anything but one
/// well-formed token.
fn token(headers: &HeaderMap) -> Result<Option<String>, HttpError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if is_empty(value) && headers.get_all(header::AUTHORIZATION).iter().count() == 1 {
        return Ok(None);
    }
    let token = value.to_str().ok().and_then(bearer_token).filter(|_| values.next().is_none());
    token.map(|token| Some(token.to_owned())).ok_or_else(HttpError::unauthenticated)
}

/// Returns the token of an `Authorization: Bearer`; `None` if it is not well formed.
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let is_well_formed =
        |token: &str| (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let (scheme, token) = authorization.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && is_well_formed(token)).then_some(token)
}

/// Returns whether the Authorization header is what a front end without a token sends: nothing, or the scheme alone.
fn is_empty(authorization: &HeaderValue) -> bool {
    let value = authorization.as_bytes().trim_ascii();
    value.is_empty() || value.eq_ignore_ascii_case(b"bearer")
}
