//! Cursors: the position of a row in one list, encrypted and authenticated with a server key.
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

use crate::auth::key_ring::ServerKeys;
use crate::auth::server_key::{Key, hmac_sha256};

/// The length of the authentication code in a cursor, in bytes.
const CODE_LENGTH: usize = 12;

/// The keys for the cursors of all lists.
#[derive(Clone)]
pub struct CursorKey {
    /// The key of new cursors.
    current: [u8; 32],
    /// The keys of cursors that were issued before the server key was replaced.
    others: Vec<[u8; 32]>,
}

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
    /// Derives the keys for cursors from the server keys; servers with the same server keys accept each other's cursors.
    #[must_use]
    pub fn new(keys: &ServerKeys) -> Self {
        Self { current: keys.current().of_cursors(), others: keys.others().iter().map(Key::of_cursors).collect() }
    }

    /// Derives the key for new cursors of the list with this name.
    #[must_use]
    pub fn of_list(&self, list: &str) -> ListFingerprint {
        ListFingerprint::new(&self.current, list)
    }

    /// Returns the position in a cursor of the list with this name, whichever key it was issued with; `None` for any other text.
    #[must_use]
    pub fn decode(&self, list: &str, cursor: &str) -> Option<Position> {
        let keys = std::iter::once(&self.current).chain(&self.others);
        keys.map(|key| ListFingerprint::new(key, list)).find_map(|list| list.decode(cursor))
    }
}

impl ListFingerprint {
    fn new(key: &[u8; 32], list: &str) -> Self {
        Self(hmac_sha256(key, list.as_bytes()).finalize().into_bytes().into())
    }

    /// Returns the position in a cursor of this list; `None` for any other text.
    fn decode(&self, cursor: &str) -> Option<Position> {
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

    /// Not used: [`CursorKey::decode`] checks whether a cursor belongs to the requested list.
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
