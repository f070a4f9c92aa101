//! Loaders of what belongs to users: groups, sessions, devices, invitations and custom attributes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use async_graphql::SimpleObject;
use async_graphql::dataloader::Loader;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::SimpleExpr;
use sea_orm::{
    ConnectionTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect, QueryTrait, RelationTrait, Select,
};

use super::{Loaders, MAX_ATTRIBUTES_SHOWN};
use crate::db::conditions::{no_index_hint, one_of};
use crate::entity::attribute_definition::{self, AttributeKind};
use crate::entity::attribute_value::{self, Attribute};
use crate::entity::membership::{self, GroupRole};
use crate::entity::{device, group, invitation, session};
use crate::error::Error;
use crate::graphql::projection::Projectable;
use crate::scalar::{Id, Instant, Json};

/// The groups of a user, each with the user's role in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupsOfUser(pub Id);

/// The active sessions of a user, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionsOfUser(pub Id);

/// The remembered devices of a user, last used first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DevicesOfUser(pub Id);

/// The status of a user's invitation email.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvitationOfUser(pub Id);

/// The custom attributes of a user that the viewer sees, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributesOfUser(pub Id);

/// The membership of a user in a group.
#[derive(Clone, Debug, SimpleObject)]
pub struct GroupMembership {
    /// The group that the user belongs to.
    pub group: Arc<group::Model>,
    /// The user's role in the group.
    pub role: GroupRole,
    /// The date and time when the user joined the group.
    pub joined_at: Instant,
}

impl Loaders {
    pub(super) fn sessions(&self, condition: SimpleExpr) -> Select<session::Entity> {
        session::Entity::find()
            .join(JoinType::InnerJoin, session::Relation::User.def())
            .filter(condition)
            .filter(no_index_hint(self.current_viewer.viewer().visible_sessions()))
            .filter(session::alive(self.idle))
    }
}

impl Loader<GroupsOfUser> for Loaders {
    type Value = Arc<Vec<GroupMembership>>;
    type Error = Error;

    async fn load(&self, keys: &[GroupsOfUser]) -> Result<HashMap<GroupsOfUser, Arc<Vec<GroupMembership>>>, Error> {
        let db = self.db.read();
        let of_users = one_of(db.get_database_backend(), membership::Column::UserId, keys.iter().map(|key| key.0));
        let columns = self.selected_fields.columns::<group::Entity>();
        let select = columns
            .select()
            .join_rev(JoinType::InnerJoin, membership::Relation::Group.def())
            .filter(of_users)
            .filter(no_index_hint(self.current_viewer.viewer().visible_groups()))
            .column_as(membership::Column::UserId, "member_id")
            .column_as(membership::Column::Role, "member_role");
        let has_time = self.selected_fields.contains("joinedAt");
        let select = if has_time { select.column_as(membership::Column::JoinedAt, "member_since") } else { select };
        let placeholder = group::Entity::placeholder();
        let (member_id, member_role) = (columns.count(), columns.count() + 1);
        let mut groups_by_id: HashMap<Id, Arc<group::Model>> = HashMap::new();
        let mut groups: HashMap<GroupsOfUser, Vec<GroupMembership>> = HashMap::with_capacity(keys.len());
        for row in db.query_all(&QueryTrait::into_query(select)).await? {
            let group = match groups_by_id.entry(row.try_get_by_index(0)?) {
                Entry::Occupied(group) => Arc::clone(group.get()),
                Entry::Vacant(entry) => Arc::clone(entry.insert(Arc::new(columns.read(&row, &placeholder)?))),
            };
            let joined_at = if has_time { row.try_get_by_index(member_role + 1)? } else { DateTime::<Utc>::UNIX_EPOCH };
            let role = row.try_get_by_index(member_role)?;
            let membership = GroupMembership { group, role, joined_at: joined_at.into() };
            groups.entry(GroupsOfUser(row.try_get_by_index(member_id)?)).or_default().push(membership);
        }
        for memberships in groups.values_mut() {
            memberships.sort_by(|a, b| (&a.group.name_key, a.group.id).cmp(&(&b.group.name_key, b.group.id)));
        }
        Ok(groups.into_iter().map(|(user, memberships)| (user, Arc::new(memberships))).collect())
    }
}

impl Loader<SessionsOfUser> for Loaders {
    type Value = Vec<session::Model>;
    type Error = Error;

    async fn load(&self, keys: &[SessionsOfUser]) -> Result<HashMap<SessionsOfUser, Vec<session::Model>>, Error> {
        let db = self.db.read_primary();
        let of_users = one_of(db.get_database_backend(), session::Column::UserId, keys.iter().map(|key| key.0));
        let rows = self
            .sessions(of_users)
            .order_by_desc(session::Column::CreatedAt)
            .order_by_desc(session::Column::Id)
            .all(db)
            .await?;
        let mut sessions: HashMap<SessionsOfUser, Vec<session::Model>> = HashMap::new();
        for row in rows {
            sessions.entry(SessionsOfUser(row.user_id)).or_default().push(row);
        }
        Ok(sessions)
    }
}

impl Loader<DevicesOfUser> for Loaders {
    type Value = Vec<device::Model>;
    type Error = Error;

    async fn load(&self, keys: &[DevicesOfUser]) -> Result<HashMap<DevicesOfUser, Vec<device::Model>>, Error> {
        let db = self.db.read_primary();
        let of_users = one_of(db.get_database_backend(), device::Column::UserId, keys.iter().map(|key| key.0));
        let rows = device::Entity::find()
            .join(JoinType::InnerJoin, device::Relation::User.def())
            .filter(of_users)
            .filter(no_index_hint(self.current_viewer.viewer().visible_sessions()))
            .filter(device::remembered())
            .order_by_desc(device::Column::LastUsedAt)
            .order_by_desc(device::Column::Id)
            .all(db)
            .await?;
        let mut devices: HashMap<DevicesOfUser, Vec<device::Model>> = HashMap::new();
        for row in rows {
            devices.entry(DevicesOfUser(row.user_id)).or_default().push(row);
        }
        Ok(devices)
    }
}

impl Loader<InvitationOfUser> for Loaders {
    type Value = invitation::Model;
    type Error = Error;

    async fn load(&self, keys: &[InvitationOfUser]) -> Result<HashMap<InvitationOfUser, invitation::Model>, Error> {
        let db = self.db.read();
        let of_users = one_of(db.get_database_backend(), invitation::Column::UserId, keys.iter().map(|key| key.0));
        let invitations = invitation::Entity::find()
            .join(JoinType::InnerJoin, invitation::Relation::User.def())
            .filter(of_users)
            .filter(no_index_hint(self.current_viewer.viewer().visible_invitations()))
            .all(db)
            .await?;
        Ok(invitations.into_iter().map(|invitation| (InvitationOfUser(invitation.user_id), invitation)).collect())
    }
}

impl Loader<AttributesOfUser> for Loaders {
    type Value = Arc<Vec<Attribute>>;
    type Error = Error;

    async fn load(&self, keys: &[AttributesOfUser]) -> Result<HashMap<AttributesOfUser, Arc<Vec<Attribute>>>, Error> {
        let db = self.db.read();
        let of_users = one_of(db.get_database_backend(), attribute_value::Column::UserId, keys.iter().map(|key| key.0));
        let rows: Vec<(Id, String, String, AttributeKind, String)> = attribute_value::Entity::find()
            .join(JoinType::InnerJoin, attribute_value::Relation::Definition.def())
            .select_only()
            .column(attribute_value::Column::UserId)
            .columns([
                attribute_definition::Column::Name,
                attribute_definition::Column::Label,
                attribute_definition::Column::Kind,
            ])
            .column(attribute_value::Column::Value)
            .filter(of_users)
            .filter(no_index_hint(self.current_viewer.viewer().visible_attributes()))
            // A result with more rows is rejected, so the rest need not be read.
            .limit(MAX_ATTRIBUTES_SHOWN as u64 + 1)
            .into_tuple()
            .all(db)
            .await?;
        if rows.len() > MAX_ATTRIBUTES_SHOWN {
            self.show_attributes(rows.len())?;
        }
        let mut attributes: HashMap<AttributesOfUser, Vec<Attribute>> = HashMap::new();
        for (user_id, name, label, kind, value) in rows {
            let value = Json(kind.shown(&value));
            attributes.entry(AttributesOfUser(user_id)).or_default().push(Attribute { name, label, value });
        }
        for attributes in attributes.values_mut() {
            attributes.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(attributes.into_iter().map(|(user, attributes)| (user, Arc::new(attributes))).collect())
    }
}
