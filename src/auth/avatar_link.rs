//! Signed URLs of users' pictures: the `src` of an `<img>`, which sends no token.
//!
//! A URL names the session or API key of the viewer for whom it was made, the user, the picture and the moment at which it ends,
//! and is signed with the server key. It shows this one picture to everybody who has it, and only as long as the viewer would: the
//! session or key, and the rights of its user, are read again for each request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use url::form_urlencoded;
use uuid::Uuid;

use super::key_ring::KeyRing;
use super::server_key::{Key, hmac_sha256};
use crate::access::{AuthMethod, SignedIn};
use crate::http;
use crate::scalar::{Id, Url};

/// The seconds in which the URL of a picture stays the same, so that browsers find it in their cache. It is valid for one to two
/// times as long.
const PERIOD: i64 = 5 * 60;

/// Makes and verifies the URLs of pictures.
#[derive(Clone)]
pub struct AvatarLinks {
    keys: KeyRing,
    public_url: String,
}

/// The session or API key for which a URL was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkViewer {
    Session(Id),
    ApiKey(Id),
}

/// The picture that a valid URL shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvatarLink {
    pub viewer: LinkViewer,
    /// The hash of the picture.
    pub hash: String,
}

impl AvatarLinks {
    /// Derives the keys of the URLs, which begin with the public URL, from the server keys. Servers with the same keys accept each
    /// other's URLs.
    #[must_use]
    pub fn new(keys: KeyRing, mut public_url: String) -> Self {
        public_url.truncate(public_url.trim_end_matches('/').len());
        Self { keys, public_url }
    }

    /// Returns the URL of a user's picture for a viewer. It differs after each change of the picture, and every five minutes.
    #[must_use]
    pub fn url(&self, viewer: &SignedIn, user_id: Id, hash: &str, now: DateTime<Utc>) -> Url {
        self.signed(user_id, hash, &text_of(viewer.auth_method), expires(now))
    }

    fn signed(&self, user_id: Id, hash: &str, viewer: &str, expires: i64) -> Url {
        let code = code(self.keys.keys().current(), user_id, hash, viewer, expires);
        let signature = URL_SAFE_NO_PAD.encode(code.finalize().into_bytes());
        let Url(unsigned) = self.unsigned_url(user_id, hash);
        Url(format!("{unsigned}&viewer={viewer}&expires={expires}&signature={signature}"))
    }

    /// Returns the URL of a user's picture, for requests with a token.
    #[must_use]
    pub fn unsigned_url(&self, user_id: Id, hash: &str) -> Url {
        Url(format!("{}{}{}?v={hash}", self.public_url, http::AVATARS, user_id.0))
    }

    /// Returns what the URL with this user and query string shows; `None` if it is not signed, was changed, or has ended.
    #[must_use]
    pub fn verify(&self, user_id: Id, query: &str, now: DateTime<Utc>) -> Option<AvatarLink> {
        let value = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
        let [hash, viewer, expires, signature] =
            ["v", "viewer", "expires", "signature"].map(|name| value(name).map(|(_, value)| value.into_owned()));
        let (hash, viewer, expires) = (hash?, viewer?, expires?.parse::<i64>().ok()?);
        let signature = URL_SAFE_NO_PAD.decode(signature?).ok()?;
        let is_of = |key: &Key| code(key, user_id, &hash, &viewer, expires).verify_slice(&signature).is_ok();
        self.keys.keys().all().any(is_of).then_some(())?;
        (now.timestamp() < expires).then_some(())?;
        Some(AvatarLink { viewer: LinkViewer::parse(&viewer)?, hash })
    }
}

/// Returns the code of a URL that is signed with a server key.
fn code(key: &Key, user_id: Id, hash: &str, viewer: &str, expires: i64) -> Hmac<Sha256> {
    // None of the parts has a newline when a URL is made, so they cannot be divided differently.
    hmac_sha256(&key.of_pictures(), format!("{}\n{viewer}\n{expires}\n{hash}", user_id.0).as_bytes())
}

impl LinkViewer {
    fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('-')?;
        let id = Id(Uuid::parse_str(id).ok()?);
        match kind {
            "session" => Some(Self::Session(id)),
            "key" => Some(Self::ApiKey(id)),
            _ => None,
        }
    }
}

/// Returns the moment at which a URL ends that is made now, in seconds since 1970.
fn expires(now: DateTime<Utc>) -> i64 {
    (now.timestamp().div_euclid(PERIOD) + 2) * PERIOD
}

fn text_of(auth_method: AuthMethod) -> String {
    match auth_method {
        AuthMethod::Session(id) => format!("session-{}", id.0),
        AuthMethod::ApiKey(id, _) => format!("key-{}", id.0),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::auth::key_ring::ServerKeys;

    #[test]
    fn a_url_shows_one_picture_to_one_viewer_for_some_minutes() {
        let of_key =
            |byte| AvatarLinks::new(Key::from([byte; 32]).into(), "https://people.example.org/roster/".to_owned());
        let links = of_key(7);
        let (user, session) = (Id::new(), Id::new());
        let now = DateTime::from_timestamp(1_000_000_200, 0).unwrap();
        let expires = expires(now);
        let viewer = text_of(AuthMethod::Session(session));
        let url = links.signed(user, "abc", &viewer, expires).0;
        let query = url.strip_prefix(&format!("https://people.example.org/roster/avatars/{}?", user.0)).unwrap();
        let shown = AvatarLink { viewer: LinkViewer::Session(session), hash: "abc".to_owned() };
        let last = DateTime::from_timestamp(expires - 1, 0).unwrap();
        assert_eq!(links.verify(user, query, now), Some(shown.clone()));
        assert_eq!(links.verify(user, query, last), Some(shown));
        assert_eq!(links.verify(user, query, last + TimeDelta::seconds(1)), None);
        assert!((PERIOD..=2 * PERIOD).contains(&(expires - now.timestamp())));

        assert_eq!(links.verify(Id::new(), query, now), None, "another user");
        assert_eq!(of_key(8).verify(user, query, now), None, "another key");
        let rotated = ServerKeys::new(Key::from([8; 32]), vec![Key::from([7; 32])]);
        let rotated = AvatarLinks::new(rotated.into(), links.public_url.clone());
        assert!(rotated.verify(user, query, now).is_some(), "the old key");
        for (from, to) in [
            ("v=abc", "v=abd"),
            ("session-", "key-"),
            ("expires=1", "expires=2"),
            ("signature=", "signature=A"),
            ("&signature", "&x"),
            ("v=abc", "v=abd&v=abc"),
        ] {
            assert_eq!(links.verify(user, &query.replace(from, to), now), None, "{to}");
        }
        for query in ["", "v=abc", "signature=", "%ff"] {
            assert_eq!(links.verify(user, query, now), None, "{query}");
        }
    }
}
