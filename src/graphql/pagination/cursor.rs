//! Cursors: the position of a row in one list, encrypted and authenticated with the server key.
//!
//! A cursor of another list, or one that the server did not issue, is detected. The content cannot be read, because a position
//! may tell how many rows exist that the viewer does not see. The authentication code of the position is also the initialization
//! vector of its encryption, as in RFC 5297.

use std::convert::Infallible;

use async_graphql::connection::CursorType;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use sea_orm::Value;

use crate::auth::server_key::{Key, hmac_sha256};

/// The length of the authentication code in a cursor, in bytes.
const CODE_LENGTH: usize = 12;

/// The key for the cursors of all lists.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

/// The key for the cursors of one list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListFingerprint([u8; 32]);

/// The position of a row: the values that it is ordered by, as text; `None` is null.
pub type Position = Vec<Option<String>>;

/// The position of a row in a list.
#[derive(Clone)]
pub struct Cursor {
    pub(super) list: ListFingerprint,
    pub(super) position: Vec<Value>,
}

impl CursorKey {
    /// Derives the key for cursors from a server key; servers with the same server key accept each other's cursors.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(key.of_cursors())
    }

    /// Derives the key for the cursors of the list with this name.
    #[must_use]
    pub fn of_list(&self, list: &str) -> ListFingerprint {
        ListFingerprint(hmac_sha256(&self.0, list.as_bytes()).finalize().into_bytes().into())
    }
}

impl ListFingerprint {
    /// Returns the position in a cursor of this list; `None` for any other text.
    #[must_use]
    pub fn decode(&self, cursor: &str) -> Option<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (code, encrypted) = bytes.split_at_checked(CODE_LENGTH)?;
        let position: Vec<u8> = encrypted.iter().zip(self.keystream(code)).map(|(byte, mask)| byte ^ mask).collect();
        hmac_sha256(&self.0, &position).verify_truncated_left(code).ok()?;
        serde_json::from_slice(&position).ok()
    }

    /// Returns the cursor of a position in this list.
    #[must_use]
    pub fn encode(&self, position: &Position) -> String {
        let position = serde_json::to_vec(position).unwrap_or_default();
        let code = hmac_sha256(&self.0, &position).finalize().into_bytes();
        let code: Vec<u8> = code.into_iter().take(CODE_LENGTH).collect();
        let encrypted = position.into_iter().zip(self.keystream(&code)).map(|(byte, mask)| byte ^ mask);
        let encrypted: Vec<u8> = encrypted.collect();
        URL_SAFE_NO_PAD.encode([code, encrypted].concat())
    }

    /// Returns the keystream that encrypts the position with this code, as an endless sequence of bytes.
    fn keystream(&self, code: &[u8]) -> impl Iterator<Item = u8> {
        let start = hmac_sha256(&self.0, b"mask").chain_update(code);
        (0_u32..).flat_map(move |block| start.clone().chain_update(block.to_be_bytes()).finalize().into_bytes())
    }
}

impl CursorType for Cursor {
    type Error = Infallible;

    /// Not used: [`ListFingerprint::decode`] checks whether a cursor belongs to the requested list.
    fn decode_cursor(_: &str) -> Result<Self, Infallible> {
        Ok(Self { list: ListFingerprint::default(), position: Vec::new() })
    }

    fn encode_cursor(&self) -> String {
        self.list.encode(&self.position.iter().map(to_text).collect())
    }
}

/// Returns a value of a position as text, which `SortKey::value` parses. `None` for null, and for types by which nothing is
/// sorted.
pub(super) fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.map(|flag| flag.to_string()),
        Value::Uuid(id) => id.map(|id| id.to_string()),
        Value::Int(number) => number.map(|number| number.to_string()),
        Value::BigInt(number) => number.map(|number| number.to_string()),
        Value::ChronoDate(date) => date.map(|date| date.to_string()),
        Value::ChronoDateTimeUtc(instant) => instant.map(|instant| instant.to_rfc3339()),
        _ => None,
    }
}
