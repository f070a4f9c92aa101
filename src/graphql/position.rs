//! Positions in the audit trail, as clients keep them.

use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::OnceCell;

use crate::access::Viewer;
use crate::audit::sealer;
use crate::db::{Db, Reader};
use crate::entity::audit_event;
use crate::error::Error;
use crate::graphql::pagination::CursorKey;

/// The name under which positions are encrypted.
const LIST: &str = "changes";

/// A position in the audit trail: after the event with a number. The beginning of the event's hash distinguishes the
/// trail from a copy that was restored from a backup and has other events with the same numbers by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    seq: i64,
    hash: u64,
}

impl Position {
    /// The position before the first event.
    pub const START: Self = Self { seq: 0, hash: 0 };

    /// Returns the position after an event with a number and a hash.
    #[must_use]
    pub fn after(seq: i64, hash: &[u8]) -> Self {
        Self { seq, hash: hash.first_chunk().map_or(0, |beginning| u64::from_be_bytes(*beginning)) }
    }

    /// Returns the number of the event.
    #[must_use]
    pub const fn seq(self) -> i64 {
        self.seq
    }

    /// Returns the position as opaque text. It is encrypted because a number would tell how much other licenses do, and different
    /// each time because equal texts would tell that nothing happened, even what the viewer cannot see. Its length is always the same.
    #[must_use]
    pub fn encode(self, key: &CursorKey) -> String {
        let nonce = rand::random::<u64>();
        let parts = [format!("{:019}", self.seq), format!("{:020}", self.hash), format!("{nonce:020}")];
        key.of_list(LIST).encode(&parts.map(Some).to_vec())
    }

    /// Parses a position; `None` for any text that the server did not issue as one.
    #[must_use]
    pub fn decode(text: &str, key: &CursorKey) -> Option<Self> {
        match key.decode(LIST, text)?.as_slice() {
            [Some(seq), Some(hash), Some(_)] => Some(Self { seq: seq.parse().ok()?, hash: hash.parse().ok()? }),
            _ => None,
        }
    }
}

/// Reads the position after the last event of the licenses that the viewer can see.
pub async fn current(db: &Reader, viewer: &Viewer) -> Result<Position, Error> {
    let last = audit_event::Entity::find()
        .select_only()
        .columns([audit_event::Column::Seq, audit_event::Column::Hash])
        .filter(viewer.visible_changes())
        .order_by_desc(audit_event::Column::Seq)
        .into_tuple::<(i64, Vec<u8>)>()
        .one(db)
        .await?;
    Ok(last.map_or(Position::START, |(seq, hash)| Position::after(seq, &hash)))
}

/// The position of a request: read once, when the first list needs it. Every list that is read afterwards contains all changes
/// up to this position.
#[derive(Debug, Default)]
pub struct RequestPosition(OnceCell<Position>);

impl RequestPosition {
    /// Returns the position, which is read now if the request has none yet.
    ///
    /// # Errors
    /// That the database cannot be reached.
    pub async fn read(&self, db: &Db, viewer: &Viewer) -> Result<Position, Error> {
        let position = self.0.get_or_try_init(|| async {
            sealer::try_to_seal(db).await;
            current(db.read(), viewer).await
        });
        position.await.copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::key_ring::ServerKeys;
    use crate::auth::server_key::Key;

    #[test]
    fn positions_survive_encoding_and_are_bound_to_the_server_key() {
        let key = CursorKey::new(&Key::from([7_u8; 32]).into());
        for position in [Position::START, Position::after(i64::MAX, &[255; 32]), Position::after(41, &[])] {
            let text = position.encode(&key);
            assert_eq!(Position::decode(&text, &key), Some(position));
            assert_eq!(Position::decode(&text, &CursorKey::new(&Key::from([8_u8; 32]).into())), None);
            let rotated = ServerKeys::new(Key::from([8; 32]), vec![Key::from([7; 32])]);
            assert_eq!(Position::decode(&text, &CursorKey::new(&rotated)), Some(position));
            assert_eq!(text.len(), Position::START.encode(&key).len(), "{text}");
            assert_ne!(text, position.encode(&key));
        }
        let cursor = key.of_list("users").encode(&vec![Some("1".to_owned()), Some("2".to_owned())]);
        for text in ["", "1", "0:0", cursor.as_str()] {
            assert_eq!(Position::decode(text, &key), None, "{text}");
        }
    }
}
