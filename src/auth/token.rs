//! Bearer tokens: 256 random bits with a prefix that secret scanners recognize, stored as SHA-256.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use rand::TryRng;
use sha2::{Digest, Sha256};

use crate::auth::server_key::{Key, hmac_sha256};
use crate::error::Error;

/// The kind of a token, given by its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Session,
    Device,
    ApiKey,
    Link,
}

/// The most bytes of a text that is read as a token.
const MAX_LENGTH: usize = 100;

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "ros_",
            Self::Device => "rod_",
            Self::ApiKey => "rok_",
            Self::Link => "rol_",
        }
    }

    /// Returns the kind of token that a text claims to be; `None` if it is not a token.
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        [Self::Session, Self::Device, Self::ApiKey, Self::Link]
            .into_iter()
            .find(|kind| token.starts_with(kind.prefix()))
    }
}

/// Creates a token.
///
/// # Errors
/// `Internal` if the system provides no randomness.
pub fn new(kind: TokenKind) -> Result<String, Error> {
    Ok(format_token(kind, &random()?))
}

/// Returns the seed of the token of an emailed link. It may be stored until the email is sent.
///
/// # Errors
/// `Internal` if the system provides no randomness.
pub fn seed() -> Result<Vec<u8>, Error> {
    random().map(Vec::from)
}

/// Returns the token of an emailed link. The same seed and key give the same token; the seed is useless without the key.
#[must_use]
pub fn from_seed(key: &Key, seed: &[u8]) -> String {
    format_token(TokenKind::Link, &hmac_sha256(&key.of_links(), seed).finalize().into_bytes())
}

fn random() -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut secret).map_err(Error::internal)?;
    Ok(secret)
}

fn format_token(kind: TokenKind, secret: &[u8]) -> String {
    format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(secret))
}

/// Returns a text with the tokens of links in it masked, whether complete or cut off.
#[must_use]
pub fn masked(text: &str) -> String {
    let prefix = TokenKind::Link.prefix();
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut parts = text.split(prefix);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |masked, part| masked + prefix + "***" + part.trim_start_matches(is_of_token))
}

/// Returns the hash of a token, which is what the database stores.
#[must_use]
pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_text_contains_no_token_of_a_link() {
        let token = new(TokenKind::Link).unwrap();
        let text = format!("554 blocked: https://x.example/reset?lang=en#{token}; see rol_abc and {token}");
        assert_eq!(masked(&text), "554 blocked: https://x.example/reset?lang=en#rol_***; see rol_*** and rol_***");
        assert_eq!(masked("451 try again"), "451 try again");
    }
}
