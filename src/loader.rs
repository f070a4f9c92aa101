//! The links between tables: a key type and a loader for each, so that a page of people costs one statement a link.
//!
//! Every loader is narrowed to what the viewer sees; what lies outside is not found.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_graphql::dataloader::Loader;
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Alias, Condition, Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QueryOrder, QueryResult, QuerySelect,
    QueryTrait, RelationTrait, Select,
};

use crate::access::{Action, Asking};
use crate::columns::{Named, Shown};
use crate::db::{Db, held_against, one_of};
use crate::entity::membership::{self, GroupRole};
use crate::entity::{api_key, audit_event, group, institution, license, session, user};
use crate::error::Error;
use crate::page::{self, Listed, Page, Window};
use crate::scalar::Id;

/// A person by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserById(pub Id);

/// A group by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupById(pub Id);

/// An institution by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InstitutionById(pub Id);

/// A license by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LicenseById(pub Id);

/// A session by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionById(pub Id);

/// An API key by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ApiKeyById(pub Id);

/// An audit event by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AuditEventById(pub Id);

/// The groups of a person, each with what the person is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupsOfUser(pub Id);

/// The sessions of a person that have not ended, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionsOfUser(pub Id);

/// One page of the members of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MembersOfGroup(pub Id, pub Window);

/// How many members a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberCountOfGroup(pub Id);

/// One page of the people of an institution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UsersOfInstitution(pub Id, pub Window);

/// How many people an institution has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserCountOfInstitution(pub Id);

/// A group, and what somebody is in it.
#[derive(Clone, Debug)]
pub struct Belonging {
    pub group: group::Model,
    pub role: GroupRole,
}

/// A person, and what the person is in a group.
#[derive(Clone, Debug)]
pub struct Member {
    pub user: user::Model,
    pub role: GroupRole,
    pub joined_at: DateTime<Utc>,
}

/// The loaders of one request.
pub struct Links {
    db: Db,
    asking: Arc<Asking>,
    named: Arc<Named>,
    idle: Duration,
    groups_shown: AtomicUsize,
}

/// How many groups of people one answer has at most.
const MOST_GROUPS_SHOWN: usize = 20_000;

impl Links {
    /// Loaders that see what the viewer sees, and read what the request names; sessions end when unused for so long.
    #[must_use]
    pub fn new(db: Db, asking: Arc<Asking>, named: Arc<Named>, idle: Duration) -> Self {
        Self { db, asking, named, idle, groups_shown: AtomicUsize::new(0) }
    }

    /// Notes that groups are about to be shown. How many people have is not known before they are read, so that the cost of
    /// a document cannot bound it.
    ///
    /// # Errors
    /// `BadInput` where one request is shown too many.
    pub fn show_groups(&self, count: usize) -> Result<(), Error> {
        let shown = self.groups_shown.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        if shown <= MOST_GROUPS_SHOWN {
            return Ok(());
        }
        Err(Error::BadInput(format!(
            "groups: the answer would have more than {MOST_GROUPS_SHOWN} groups; ask for fewer people at once."
        )))
    }

    async fn by_id<E: Shown>(&self, column: E::Column, ids: Vec<Id>, seen: Condition) -> Result<Vec<E::Model>, Error> {
        let db = self.db.read();
        let columns = self.named.columns::<E>();
        let of_ids = one_of(db.get_database_backend(), column, ids);
        let select = columns.narrow(E::find()).filter(of_ids).filter(held_against(seen));
        let blank = E::unread();
        let rows = db.query_all(&QueryTrait::into_query(select)).await?;
        Ok(rows.iter().map(|row| columns.read(row, &blank)).collect::<Result<_, _>>()?)
    }

    /// How many rows of `select` belong to each parent.
    async fn counts<E: EntityTrait>(
        &self,
        select: Select<E>,
        parent: impl ColumnTrait,
    ) -> Result<HashMap<Id, i32>, Error> {
        let mut statement = QueryTrait::into_query(select);
        statement.clear_selects().clear_order_by();
        statement.expr_as(Expr::col(parent.as_column_ref()), Alias::new("parent_id"));
        statement.expr_as(Expr::cust("COUNT(*)"), Alias::new("total"));
        statement.add_group_by([Expr::col(parent.as_column_ref())]);
        let rows = self.db.read().query_all(&statement).await?;
        let count = |row: QueryResult| {
            let total: i64 = row.try_get("", "total")?;
            Ok((row.try_get("", "parent_id")?, i32::try_from(total).unwrap_or(i32::MAX)))
        };
        Ok(rows.into_iter().map(count).collect::<Result<_, DbErr>>()?)
    }

    fn members(&self, groups: impl IntoIterator<Item = Id>) -> Select<user::Entity> {
        let backend = self.db.read().get_database_backend();
        user::Entity::find()
            .join_rev(JoinType::InnerJoin, membership::Relation::User.def())
            .filter(one_of(backend, membership::Column::GroupId, groups))
            .filter(held_against(self.asking.viewer().lists_users(false)))
    }

    fn sessions(&self, meant: SimpleExpr) -> Select<session::Entity> {
        session::Entity::find()
            .join(JoinType::InnerJoin, session::Relation::User.def())
            .filter(meant)
            .filter(held_against(self.asking.viewer().sees_sessions_of()))
            .filter(session::alive(self.idle))
    }

    fn people(&self, institutions: impl IntoIterator<Item = Id>) -> Select<user::Entity> {
        let backend = self.db.read().get_database_backend();
        user::Entity::find()
            .filter(one_of(backend, user::Column::InstitutionId, institutions))
            .filter(held_against(self.asking.viewer().lists_users(false)))
    }
}

impl Loader<UserById> for Links {
    type Value = user::Model;
    type Error = Error;

    async fn load(&self, keys: &[UserById]) -> Result<HashMap<UserById, user::Model>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let rows = self.by_id::<user::Entity>(user::Column::Id, ids, self.asking.viewer().finds_users()).await?;
        Ok(rows.into_iter().map(|row| (UserById(row.id), row)).collect())
    }
}

impl Loader<GroupById> for Links {
    type Value = group::Model;
    type Error = Error;

    async fn load(&self, keys: &[GroupById]) -> Result<HashMap<GroupById, group::Model>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let rows = self.by_id::<group::Entity>(group::Column::Id, ids, self.asking.viewer().sees_groups()).await?;
        Ok(rows.into_iter().map(|row| (GroupById(row.id), row)).collect())
    }
}

impl Loader<InstitutionById> for Links {
    type Value = institution::Model;
    type Error = Error;

    async fn load(&self, keys: &[InstitutionById]) -> Result<HashMap<InstitutionById, institution::Model>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let rows = self
            .by_id::<institution::Entity>(institution::Column::Id, ids, self.asking.viewer().sees_institutions())
            .await?;
        Ok(rows.into_iter().map(|row| (InstitutionById(row.id), row)).collect())
    }
}

impl Loader<LicenseById> for Links {
    type Value = license::Model;
    type Error = Error;

    async fn load(&self, keys: &[LicenseById]) -> Result<HashMap<LicenseById, license::Model>, Error> {
        let db = self.db.read();
        let of_ids = one_of(db.get_database_backend(), license::Column::Id, keys.iter().map(|key| key.0));
        let seen = held_against(self.asking.viewer().sees_licenses());
        let rows = license::Entity::find().filter(of_ids).filter(seen).all(db).await?;
        Ok(rows.into_iter().map(|row| (LicenseById(row.id), row)).collect())
    }
}

impl Loader<SessionById> for Links {
    type Value = session::Model;
    type Error = Error;

    async fn load(&self, keys: &[SessionById]) -> Result<HashMap<SessionById, session::Model>, Error> {
        let db = self.db.read();
        let of_ids = one_of(db.get_database_backend(), session::Column::Id, keys.iter().map(|key| key.0));
        let rows = self.sessions(of_ids).all(db).await?;
        Ok(rows.into_iter().map(|row| (SessionById(row.id), row)).collect())
    }
}

impl Loader<ApiKeyById> for Links {
    type Value = api_key::Model;
    type Error = Error;

    async fn load(&self, keys: &[ApiKeyById]) -> Result<HashMap<ApiKeyById, api_key::Model>, Error> {
        let viewer = self.asking.viewer();
        // Whoever may see none costs no statement.
        if viewer.may(Action::UseApiKeys).is_err() {
            return Ok(HashMap::new());
        }
        let db = self.db.read();
        let of_ids = one_of(db.get_database_backend(), api_key::Column::Id, keys.iter().map(|key| key.0));
        let seen = held_against(viewer.sees_api_keys());
        let rows = api_key::Entity::find().filter(of_ids).filter(seen).all(db).await?;
        Ok(rows.into_iter().map(|row| (ApiKeyById(row.id), row)).collect())
    }
}

impl Loader<AuditEventById> for Links {
    type Value = audit_event::Model;
    type Error = Error;

    async fn load(&self, keys: &[AuditEventById]) -> Result<HashMap<AuditEventById, audit_event::Model>, Error> {
        let ids = keys.iter().map(|key| key.0).collect();
        let seen = self.asking.viewer().sees_audit_events();
        let rows = self.by_id::<audit_event::Entity>(audit_event::Column::Id, ids, seen).await?;
        Ok(rows.into_iter().map(|row| (AuditEventById(row.id), row)).collect())
    }
}

impl Loader<GroupsOfUser> for Links {
    type Value = Arc<Vec<Belonging>>;
    type Error = Error;

    async fn load(&self, keys: &[GroupsOfUser]) -> Result<HashMap<GroupsOfUser, Arc<Vec<Belonging>>>, Error> {
        let db = self.db.read();
        let of_users = one_of(db.get_database_backend(), membership::Column::UserId, keys.iter().map(|key| key.0));
        let columns = self.named.columns::<group::Entity>();
        let select = columns
            .narrow(group::Entity::find())
            .join_rev(JoinType::InnerJoin, membership::Relation::Group.def())
            .filter(of_users)
            .filter(held_against(self.asking.viewer().sees_groups()))
            .column_as(membership::Column::UserId, "member_id")
            .column_as(membership::Column::Role, "member_role");
        let blank = group::Entity::unread();
        let mut groups: HashMap<GroupsOfUser, Vec<Belonging>> = HashMap::new();
        for row in db.query_all(&QueryTrait::into_query(select)).await? {
            let belonging = Belonging { group: columns.read(&row, &blank)?, role: row.try_get("", "member_role")? };
            groups.entry(GroupsOfUser(row.try_get("", "member_id")?)).or_default().push(belonging);
        }
        for belongings in groups.values_mut() {
            belongings.sort_by(|a, b| (&a.group.name_key, a.group.id).cmp(&(&b.group.name_key, b.group.id)));
        }
        Ok(groups.into_iter().map(|(user, belongings)| (user, Arc::new(belongings))).collect())
    }
}

impl Loader<SessionsOfUser> for Links {
    type Value = Vec<session::Model>;
    type Error = Error;

    async fn load(&self, keys: &[SessionsOfUser]) -> Result<HashMap<SessionsOfUser, Vec<session::Model>>, Error> {
        let db = self.db.read();
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

impl Loader<MembersOfGroup> for Links {
    type Value = Page<Member>;
    type Error = Error;

    async fn load(&self, keys: &[MembersOfGroup]) -> Result<HashMap<MembersOfGroup, Page<Member>>, Error> {
        let mut pages = HashMap::new();
        for (part, groups) in by_part(keys.iter().map(|key| (&key.1, key.0))) {
            let columns = self.named.columns();
            let select = columns
                .narrow(self.members(groups.keys().copied()))
                .column_as(membership::Column::Role, "member_role")
                .column_as(membership::Column::JoinedAt, "member_since");
            let member = |row: &QueryResult, user| {
                Ok(Member { user, role: row.try_get("", "member_role")?, joined_at: row.try_get("", "member_since")? })
            };
            let parent = membership::Column::GroupId;
            let mut read = page::read_per_parent(self.db.read(), select, &columns, parent, &part, member).await?;
            pages.extend(groups.into_iter().filter_map(|(group, window)| {
                Some((MembersOfGroup(group, window.clone()), read.remove(&group)?.of(window)))
            }));
        }
        Ok(pages)
    }
}

impl Loader<UsersOfInstitution> for Links {
    type Value = Page<user::Model>;
    type Error = Error;

    async fn load(&self, keys: &[UsersOfInstitution]) -> Result<HashMap<UsersOfInstitution, Page<user::Model>>, Error> {
        let mut pages = HashMap::new();
        for (part, institutions) in by_part(keys.iter().map(|key| (&key.1, key.0))) {
            let columns = self.named.columns();
            let select = columns.narrow(self.people(institutions.keys().copied()));
            let parent = user::Column::InstitutionId;
            let mut read =
                page::read_per_parent(self.db.read(), select, &columns, parent, &part, |_, user| Ok(user)).await?;
            pages.extend(institutions.into_iter().filter_map(|(institution, window)| {
                Some((UsersOfInstitution(institution, window.clone()), read.remove(&institution)?.of(window)))
            }));
        }
        Ok(pages)
    }
}

impl Loader<MemberCountOfGroup> for Links {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[MemberCountOfGroup]) -> Result<HashMap<MemberCountOfGroup, i32>, Error> {
        let counts = self.counts(self.members(keys.iter().map(|key| key.0)), membership::Column::GroupId).await?;
        Ok(counts.into_iter().map(|(group, count)| (MemberCountOfGroup(group), count)).collect())
    }
}

impl Loader<UserCountOfInstitution> for Links {
    type Value = i32;
    type Error = Error;

    async fn load(&self, keys: &[UserCountOfInstitution]) -> Result<HashMap<UserCountOfInstitution, i32>, Error> {
        let counts = self.counts(self.people(keys.iter().map(|key| key.0)), user::Column::InstitutionId).await?;
        Ok(counts.into_iter().map(|(institution, count)| (UserCountOfInstitution(institution), count)).collect())
    }
}

impl Listed for user::Entity {
    const ORDER: &'static [user::Column] = &[user::Column::LastNameKey, user::Column::FirstNameKey, user::Column::Id];
}

impl Listed for group::Entity {
    const ORDER: &'static [group::Column] = &[group::Column::NameKey, group::Column::Id];
}

impl Listed for institution::Entity {
    const ORDER: &'static [institution::Column] = &[institution::Column::NameKey, institution::Column::Id];
}

impl Listed for audit_event::Entity {
    const ORDER: &'static [audit_event::Column] = &[audit_event::Column::Seq];
    const NEWEST_FIRST: bool = true;
}

/// Parents of whose lists the same part is asked for share a statement; each keeps its own window, for its cursors.
fn by_part<'a>(keys: impl Iterator<Item = (&'a Window, Id)>) -> HashMap<Window, HashMap<Id, &'a Window>> {
    let mut parents: HashMap<Window, HashMap<Id, &Window>> = HashMap::new();
    for (window, parent) in keys {
        parents.entry(window.part()).or_default().insert(parent, window);
    }
    parents
}
