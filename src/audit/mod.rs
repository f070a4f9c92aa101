//! Audit trail: every write is committed together with its events, and each event contains the hash of the previous one.
//!
//! On SQLite, a write appends its events to the chain. On PostgreSQL it adds them to the inbox, and the [`sealer`] moves
//! them into the chain right after the commit. A bulk load seals its own events ([`commit_sealed`]).

mod chain;
mod commit;
mod inbox;
pub mod sealer;
pub mod verify;

use std::sync::LazyLock;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, IdenStatic, Iterable, ModelTrait, QueryFilter, QuerySelect, Value as Stored};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::chain::Head;
pub use self::commit::{commit, commit_if, commit_sealed, commit_write};
use crate::access::{AuthMethod, Viewer};
use crate::actor::Actor;
use crate::db::{self, Transaction};
use crate::entity::audit_event::{self, AuditAction, SubjectType};
use crate::entity::subject::Subject;
use crate::entity::{external_reference, user};
use crate::error::Error;
use crate::scalar::{Id, now};

/// An entry for the trail: an action, its subject, its actor and its changes.
#[derive(Clone, Debug)]
pub struct Entry {
    action: AuditAction,
    license_id: Id,
    subject_type: SubjectType,
    subject_id: Id,
    actor_id: Option<Id>,
    api_key_id: Option<Id>,
    request_id: Option<String>,
    changes: Vec<Change>,
}

/// The change of a field, with the values before and after. A secret is named, without its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub field: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Change {
    /// Creates the change of a field that got a value, lost one, or both.
    pub fn of(field: &str, before: impl Into<Option<Value>>, after: impl Into<Option<Value>>) -> Self {
        Self { field: field.to_owned(), before: before.into(), after: after.into() }
    }

    /// Creates the change of a secret that was set, changed or removed.
    #[must_use]
    pub fn of_secret(field: &str) -> Self {
        Self::of(field, None, None)
    }
}

/// Returns the recorded fields that differ between two states of a row.
pub fn difference<M: Subject>(old: &M, new: &M) -> Vec<Change> {
    let columns = <M::Entity as EntityTrait>::Column::iter();
    let changed = columns.filter_map(|column| {
        let (before, after) = (old.get(column), new.get(column));
        if before == after {
            return None;
        }
        let json = |stored| json_of(stored).map(|value| external_reference::decoded(column.as_str(), value));
        Some(Change { field: M::recorded_as(&column)?, before: json(before), after: json(after) })
    });
    changed.collect()
}

/// Returns the value of a column as the trail records it.
pub fn recorded<M: ModelTrait>(row: &M, column: <M::Entity as EntityTrait>::Column) -> Option<Value> {
    json_of(row.get(column))
}

impl Entry {
    /// Creates an entry for an action without a signed-in user: by the command line, or during a sign-in.
    pub fn new(action: AuditAction, subject: &impl Subject) -> Self {
        let (id, license_id) = subject.ids();
        Self {
            action,
            license_id,
            subject_type: subject_type(subject),
            subject_id: id,
            actor_id: None,
            api_key_id: None,
            request_id: None,
            changes: Vec::new(),
        }
    }

    /// Sets the actor of the mutation that did it, with the API key and the request.
    #[must_use]
    pub fn by(self, actor: &Actor) -> Self {
        let Viewer::SignedIn(viewer) = &**actor else { return self };
        let api_key_id = match viewer.auth_method {
            AuthMethod::ApiKey(id, _) => Some(id),
            AuthMethod::Session(_) => None,
        };
        Self { actor_id: Some(viewer.user_id), api_key_id, request_id: viewer.request_id.clone(), ..self }
    }

    /// Sets the user who did it, in a request that had no viewer yet.
    #[must_use]
    pub fn by_user(self, user: Id, request_id: Option<String>) -> Self {
        Self { actor_id: Some(user), request_id, ..self }
    }

    /// Sets the request that did it, which has no viewer.
    #[must_use]
    pub fn in_request(self, request_id: Option<String>) -> Self {
        Self { request_id, ..self }
    }

    /// Returns whether its action may change the names and logins of a user, or who can see the user.
    fn may_change_user(&self) -> bool {
        self.subject_type == SubjectType::User && AuditAction::USER_CHANGES.contains(&self.action)
    }

    /// Returns whether it may have changed them. An update names each field that it has changed.
    fn changes_user(&self) -> bool {
        self.may_change_user()
            && (self.action != AuditAction::UserUpdated
                || self.changes.iter().any(|change| SEARCHED_FIELDS.contains(&change.field)))
    }

    /// Adds changes.
    #[must_use]
    pub fn with(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.changes.extend(changes);
        self
    }
}

/// The fields of a user by which users are found, or which determine who finds them.
static SEARCHED_FIELDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    user::SEARCHED_COLUMNS.into_iter().chain([user::Column::IsActive]).map(user::Column::field).collect()
});

/// Events without a place in the chain, ready to be committed.
#[derive(Debug)]
pub struct PreparedEvents {
    events: Vec<audit_event::Model>,
    changed: ChangedUsers,
}

/// The users whom events change.
#[derive(Debug, Default)]
struct ChangedUsers {
    users: Vec<Id>,
    /// The events that may change users.
    events: Vec<Id>,
}

/// Prepares the events of entries: writes their changes as JSON, and hashes them.
pub fn prepare(entries: impl IntoIterator<Item = Entry>) -> Result<PreparedEvents, Error> {
    let at = now();
    let mut prepared = PreparedEvents { events: Vec::new(), changed: ChangedUsers::default() };
    for entry in entries {
        prepared.changed.users.extend(entry.changes_user().then_some(entry.subject_id));
        let may_change_user = entry.may_change_user();
        let event = chain::new_event(entry, at)?;
        prepared.changed.events.extend(may_change_user.then_some(event.id));
        prepared.events.push(event);
    }
    Ok(prepared)
}

/// The field that the event of a deletion records of a user who has never been active: whoever does not see inactive users does
/// not know of them, and learns nothing of the deletion. The event of any other user records nothing.
pub const WAS_ACTIVE: &str = "wasActive";

/// Erases the changes that the trail records of a user who has a tombstone. The action, its time and its actor remain. Returns
/// whether the user has ever been active. Takes the last locks of a transaction, which prevents deadlocks, so only [`commit`]
/// follows.
pub async fn erase(transaction: &Transaction, user: &user::Model) -> Result<bool, Error> {
    // Events that are still in the inbox are erased with the others. Events that are committed later, about the erased user, lose
    // their changes when they are sealed.
    sealer::seal_within(transaction).await?;
    let was_active = user.is_active || !was_never_active(transaction, user.id).await?;
    audit_event::Entity::update_many()
        .col_expr(audit_event::Column::Changes, Expr::value(None::<String>))
        .col_expr(audit_event::Column::Salt, Expr::value(None::<Vec<u8>>))
        .filter(audit_event::Column::SubjectId.eq(user.id))
        .filter(audit_event::Column::Changes.is_not_null())
        .exec(transaction)
        .await?;
    Ok(was_active)
}

/// Returns whether the trail says that a user has been inactive all the time: the only event about it is their creation, which
/// records it of users who are created inactive.
async fn was_never_active(transaction: &Transaction, user_id: Id) -> Result<bool, Error> {
    use audit_event::Column;
    let actions: Vec<AuditAction> = audit_event::Entity::find()
        .select_only()
        .column(Column::Action)
        .filter(Column::SubjectId.eq(user_id))
        // No value contains this text: JSON escapes its quotes.
        .filter(Column::Changes.contains(r#""field":"isActive""#))
        .limit(2)
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(actions == [AuditAction::UserCreated])
}

/// Returns the value of a column as JSON. No text is stored empty: an empty text stands for a value that does not exist yet.
fn json_of(stored: Stored) -> Option<Value> {
    db::json_of(stored, |instant| instant.to_rfc3339()).filter(|value| value.as_str() != Some(""))
}

fn subject_type<S: Subject>(_: &S) -> SubjectType {
    S::TYPE
}
