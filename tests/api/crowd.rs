//! Inserts many rows at once, when a test needs more than mutations create in reasonable time.

use async_graphql::MaybeUndefined::Value as Given;
use roster::attribute_values;
use roster::audit::{self, Entry};
use roster::entity::audit_event::AuditAction;
use roster::entity::group::{self, GroupFields};
use roster::entity::membership::{self, GroupRole};
use roster::entity::user::{self, UserFields, UserNames};
use roster::entity::{attribute_value, license};
use roster::scalar::{Date, Id, now};
use roster::validation::Validator;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::app::App;

/// A user as mutations would store it, with a generated email address.
pub fn model(license: Id, first: &str, last: &str) -> user::Model {
    let id = Id::new();
    let mut user = user::Model::empty(id, license);
    let names = UserNames { first_name: Given(first.to_owned()), last_name: Given(last.to_owned()) };
    let fields = UserFields { email: Given(format!("{}@crowd.example", id.0)), ..UserFields::default() };
    let mut validator = Validator::creating();
    user.apply(names, fields, &mut validator);
    validator.finish().unwrap();
    user
}

/// Changes the first day of a license by SQL, since no command does.
pub async fn backdate(app: &App, license: Id, first: Date) {
    license::Entity::update_many()
        .col_expr(license::Column::StartsOn, Expr::value(first))
        .filter(license::Column::Id.eq(license))
        .exec(app.db.write())
        .await
        .unwrap();
}

/// Stores users and returns their ids.
pub async fn store(app: &App, users: Vec<user::Model>) -> Vec<Id> {
    let ids: Vec<Id> = users.iter().map(|user| user.id).collect();
    let transaction = app.db.begin().await.unwrap();
    for some in users.chunks(100) {
        let rows = some.iter().cloned().map(|user| user.into_active_model().reset_all());
        user::Entity::insert_many(rows).exec_without_returning(&transaction).await.unwrap();
    }
    let changed = transaction.changed_rows();
    audit::commit(transaction, []).await.unwrap();
    // Without an event, the search index does not learn of the users from the trail.
    changed.record(&ids, &[]);
    ids
}

/// Records that users were created, as mutations would.
pub async fn record(app: &App, users: &[user::Model]) {
    let entries = users.iter().map(|user| {
        let changes = audit::difference(&user::Model::empty(user.id, user.license_id), user);
        Entry::new(AuditAction::UserCreated, user).with(changes)
    });
    audit::commit(app.db.begin().await.unwrap(), entries).await.unwrap();
}

/// Stores users of the first license by first and last name, and returns their ids.
pub async fn users(app: &App, names: &[(&str, &str)]) -> Vec<Id> {
    store(app, names.iter().map(|(first, last)| model(app.license, first, last)).collect()).await
}

/// Stores groups of a license without members.
pub async fn groups(app: &App, license: Id, names: impl IntoIterator<Item = String>) -> Vec<Id> {
    let group = |name: String| {
        let mut new = group::Model::empty(Id::new(), license);
        new.apply(GroupFields { name: Given(name), ..GroupFields::default() }, &mut Validator::creating());
        new
    };
    let groups: Vec<group::Model> = names.into_iter().map(group).collect();
    let ids = groups.iter().map(|group| group.id).collect();
    let rows = groups.into_iter().map(|group| group.into_active_model().reset_all());
    group::Entity::insert_many(rows).exec_without_returning(app.db.write()).await.unwrap();
    ids
}

/// Adds every user to every group.
pub async fn memberships(app: &App, users: &[Id], groups: &[Id], role: GroupRole) {
    let pairs = users.iter().flat_map(|user| groups.iter().map(|group| (*user, *group)));
    let rows: Vec<membership::ActiveModel> = pairs
        .map(|(user_id, group_id)| membership::Model { user_id, group_id, role, joined_at: now() })
        .map(|row| row.into_active_model().reset_all())
        .collect();
    for some in rows.chunks(1_000) {
        membership::Entity::insert_many(some.to_vec()).exec_without_returning(app.db.write()).await.unwrap();
    }
}

/// Sets every attribute of the license to a text for each user.
pub async fn attributes(app: &App, users: &[Id], license: Id, value: &str) {
    let definitions = attribute_values::definitions(app.db.read(), license).await.unwrap();
    let pairs = users.iter().flat_map(|user| definitions.values().map(|definition| (*user, definition)));
    let rows: Vec<attribute_value::ActiveModel> = pairs
        .map(|(user_id, definition)| attribute_value::Model {
            user_id,
            definition_id: definition.id,
            value: value.to_owned(),
            value_key: definition.kind.key(value),
        })
        .map(|row| row.into_active_model().reset_all())
        .collect();
    for some in rows.chunks(1_000) {
        attribute_value::Entity::insert_many(some.to_vec()).exec_without_returning(app.db.write()).await.unwrap();
    }
}
