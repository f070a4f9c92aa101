//! Fields of users that were edited here, and that an import keeps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clap::ValueEnum;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ModelTrait, QueryFilter, QuerySelect};
use serde_json::Value;

use super::existing::ExistingRows;
use super::fields::ATTRIBUTE_PREFIX;
use super::importer::Importer;
use crate::audit::Change;
use crate::db::conditions::one_of;
use crate::entity::audit_event::{self, AuditAction};
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

/// The edits that an import keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KeepEdits {
    /// Those that users made to their own fields.
    Own,
    /// Those that anybody made here.
    All,
    /// None: the file decides.
    #[default]
    None,
}

/// The fields of each user that were edited here.
pub(super) type Edits = HashMap<Id, BTreeSet<String>>;

/// An event of the audit trail: the user, the actor and the changes.
type Event = (Id, Option<Id>, Option<String>);

/// Reads the fields of users that were edited here.
pub(super) async fn read(db: &impl ConnectionTrait, users: Vec<Id>, keep: KeepEdits) -> Result<Edits, Error> {
    let mut edits = Edits::new();
    if keep == KeepEdits::None || users.is_empty() {
        return Ok(edits);
    }
    let events: Vec<Event> = audit_event::Entity::find()
        .select_only()
        .columns([audit_event::Column::SubjectId, audit_event::Column::ActorId, audit_event::Column::Changes])
        .filter(one_of(db.get_database_backend(), audit_event::Column::SubjectId, users))
        .filter(audit_event::Column::ActorId.is_not_null())
        .filter(audit_event::Column::Action.is_in([AuditAction::UserUpdated, AuditAction::EmailChanged]))
        .into_tuple()
        .all(db)
        .await?;
    for (user_id, actor_id, changes) in events {
        if keep == KeepEdits::All || actor_id == Some(user_id) {
            let changes = changes.as_deref().map(serde_json::from_str::<Vec<Change>>).transpose();
            let changes = changes.map_err(Error::internal)?.unwrap_or_default();
            edits.entry(user_id).or_default().extend(changes.into_iter().map(|change| change.field));
        }
    }
    Ok(edits)
}

impl Importer<'_> {
    /// Gives the fields that were edited here the values that they had before the import.
    pub(super) fn keep_edits(&mut self, old: &user::Model, row: &mut user::Model, existing: &ExistingRows) {
        let Some(edited) = existing.edits.get(&old.id) else { return };
        let applied = row.clone();
        for field in edited {
            let Some(column) = user::Column::of_field(field) else { continue };
            let value = old.get(column);
            if row.get(column) != value && row.try_set(column, value).is_ok() {
                *self.summary.kept_edits.entry(field.clone()).or_default() += 1;
            }
        }
        row.update_derived_since(&applied);
        if row.username == old.username {
            row.username_key.clone_from(&old.username_key);
        }
        if row.email == old.email {
            row.email_key.clone_from(&old.email_key);
            row.email_verified = old.email_verified;
        }
    }

    /// Leaves out the attributes that were edited here.
    pub(super) fn keep_attributes(
        &mut self,
        old: &user::Model,
        attributes: &mut BTreeMap<String, Value>,
        existing: &ExistingRows,
    ) {
        let Some(edited) = existing.edits.get(&old.id) else { return };
        let before = existing.attribute_values.get(&old.id);
        attributes.retain(|name, value| {
            let field = format!("{ATTRIBUTE_PREFIX}{name}");
            let Some(definition) = existing.definitions.get(name).filter(|_| edited.contains(&field)) else {
                return true;
            };
            let stored = before.and_then(|values| values.get(&definition.id));
            if stored.map_or(Value::Null, |stored| definition.kind.shown(stored)) != *value {
                *self.summary.kept_edits.entry(field).or_default() += 1;
            }
            false
        });
    }
}
