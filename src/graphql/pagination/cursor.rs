//! Cursors: the place of a row in one list. They are made with the server's key: one of another list, or one that was not
//! given out, is found out, and what stands in them is not to be read, for a place may tell how much there is of what the
//! viewer does not see. A code of the place is also what it is enciphered by, as in RFC 5297.

use std::convert::Infallible;

use async_graphql::connection::CursorType;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use sea_orm::Value;

use crate::auth::server_key::{Key, authenticated};

/// How many bytes of the code stand in a cursor.
const CODE: usize = 12;

/// What makes the cursors of every list.
#[derive(Clone)]
pub struct CursorKey([u8; 32]);

/// What makes the cursors of one list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListFingerprint([u8; 32]);

/// The place of a row: what it is ordered by, as text; none is null.
pub type Position = Vec<Option<String>>;

/// The place of a row in a list.
#[derive(Clone)]
pub struct Cursor {
    pub(super) mark: ListFingerprint,
    pub(super) position: Vec<Value>,
}

impl CursorKey {
    /// What makes cursors with a server's key; servers with the same key understand each other's.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(key.of_cursors())
    }

    /// What makes the cursors of the list of a name.
    #[must_use]
    pub fn of(&self, list: &str) -> ListFingerprint {
        ListFingerprint(authenticated(&self.0, list.as_bytes()).finalize().into_bytes().into())
    }
}

impl ListFingerprint {
    /// The place that a cursor of this list stands for; none for any other text.
    #[must_use]
    pub fn read(&self, cursor: &str) -> Option<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (code, hidden) = bytes.split_at_checked(CODE)?;
        let place: Vec<u8> = hidden.iter().zip(self.mask(code)).map(|(byte, mask)| byte ^ mask).collect();
        authenticated(&self.0, &place).verify_truncated_left(code).ok()?;
        serde_json::from_slice(&place).ok()
    }

    fn write(&self, position: &Position) -> String {
        let place = serde_json::to_vec(position).unwrap_or_default();
        let code: Vec<u8> = authenticated(&self.0, &place).finalize().into_bytes().into_iter().take(CODE).collect();
        let hidden: Vec<u8> = place.into_iter().zip(self.mask(&code)).map(|(byte, mask)| byte ^ mask).collect();
        URL_SAFE_NO_PAD.encode([code, hidden].concat())
    }

    /// What hides the place of a code, byte by byte without end.
    fn mask(&self, code: &[u8]) -> impl Iterator<Item = u8> {
        let start = authenticated(&self.0, b"mask").chain_update(code);
        (0_u32..).flat_map(move |block| start.clone().chain_update(block.to_be_bytes()).finalize().into_bytes())
    }
}

impl CursorType for Cursor {
    type Error = Infallible;

    /// Not used: whether a cursor is of the list that is asked for is checked by [`ListFingerprint::read`].
    fn decode_cursor(_: &str) -> Result<Self, Infallible> {
        Ok(Self { mark: ListFingerprint::default(), position: Vec::new() })
    }

    fn encode_cursor(&self) -> String {
        self.mark.write(&self.position.iter().map(text_of).collect())
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.clone(),
        Value::Uuid(id) => id.map(|id| id.to_string()),
        Value::Int(number) => number.map(|number| number.to_string()),
        Value::BigInt(number) => number.map(|number| number.to_string()),
        Value::ChronoDateTimeUtc(instant) => instant.map(|instant| instant.to_rfc3339()),
        _ => None,
    }
}
