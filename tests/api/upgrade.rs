//! A database of an earlier version is upgraded when it is opened.

use std::collections::BTreeSet;

use async_graphql::MaybeUndefined::Value as Given;
use migration::{Migrator, MigratorTrait};
use roster::audit::sealer;
use roster::cli::doctor;
use roster::db::{DatabaseSettings, Db};
use roster::entity::attribute_definition::AttributeKind;
use roster::entity::group::GroupFields;
use roster::entity::license::LicenseKind;
use roster::entity::user::{self, Column, Role, UserFields, UserNames};
use roster::entity::{attribute_definition, attribute_value, audit_event, group, institution, license};
use roster::scalar::{Date, Id};
use roster::validation::Validator;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IdenStatic, IntoActiveModel, Iterable, ModelTrait,
    QueryFilter, Statement,
};

use crate::postgres;

/// The number of migrations before users could be filtered and sorted by every field.
const STEPS_BEFORE_FILTERS: u32 = 5;

/// The columns of users that the database has.
async fn stored_columns(db: &Db) -> Vec<Column> {
    let sql = if db.is_postgres() {
        "SELECT column_name::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = 'users'"
    } else {
        "SELECT name FROM pragma_table_info('users')"
    };
    let statement = Statement::from_string(db.read().get_database_backend(), sql);
    let rows = db.read().query_all_raw(statement).await.unwrap();
    let names: BTreeSet<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    Column::iter().filter(|column| names.contains(column.as_str())).collect()
}

async fn new_columns_of_an_earlier_version_are_filled(settings: DatabaseSettings) {
    let db = Db::connect(&settings).await.unwrap();
    let transaction = db.begin().await.unwrap();
    Migrator::up(&transaction, Some(STEPS_BEFORE_FILTERS)).await.unwrap();
    transaction.commit().await.unwrap();
    let license = license::Model {
        id: Id::new(),
        number: "1".to_owned(),
        kind: LicenseKind::Commercial,
        holder: "Alder".to_owned(),
        starts_on: Date::today(),
        expires_on: None,
    };
    license::Entity::insert(license.clone().into_active_model().reset_all())
        .exec_without_returning(db.write())
        .await
        .unwrap();
    let columns = stored_columns(&db).await;
    let is_new = |column: &Column| !columns.iter().any(|stored| stored.as_str() == column.as_str());
    assert!(is_new(&Column::RoleKey) && is_new(&Column::Avatar) && !is_new(&Column::Role), "{columns:?}");
    let mut users = Vec::new();
    // More than one batch.
    for n in 0..1_003 {
        let mut user = user::Model::empty(Id::new(), license.id);
        let names = UserNames { first_name: Given("Ann".to_owned()), last_name: Given(format!("Berg {n}")) };
        let fields = UserFields {
            username: Given(format!("u{n}")),
            nickname: Given(format!("Änn{n}")),
            position: Given("Ärztin".to_owned()),
            certified_email: Given("Legal@MÜNCHEN.example".to_owned()),
            role: Given([Role::User, Role::Admin, Role::LicenseAdmin][n % 3]),
            ..UserFields::default()
        };
        user.apply(names, fields, &mut Validator::creating());
        let values: Vec<Expr> = columns.iter().map(|column| Expr::val(user.get(*column))).collect();
        let mut insert = Query::insert();
        insert.into_table(user::Entity).columns(columns.iter().copied()).values(values).unwrap();
        db.write().execute(&insert).await.unwrap();
        users.push(user);
    }
    db.close().await.unwrap();

    let db = Db::open(&settings).await.unwrap();
    for expected in &users {
        let found = user::Entity::find_by_id(expected.id).one(db.read()).await.unwrap().unwrap();
        assert_eq!(found, *expected);
    }
    assert_eq!(doctor::wrong_totals(&db).await.unwrap(), 0);
    let by_nickname = user::Entity::find().filter(Column::NicknameKey.eq("ann7"));
    assert_eq!(by_nickname.one(db.read()).await.unwrap().unwrap().id, users[7].id);
    // Derived values are not a change that a user made.
    sealer::seal_committed(&db).await.unwrap();
    assert!(audit_event::Entity::find().one(db.read()).await.unwrap().is_none());
    let versions = user::Entity::find().filter(Column::Version.ne(1).or(Column::RoleKey.is_null()));
    assert!(versions.one(db.read()).await.unwrap().is_none());
    db.close().await.unwrap();
}

/// The migration after which text is folded as it is now.
const FOLDING: &str = "m20261129_000014_folding";

/// A database with values derived by the folding of an earlier version.
async fn store_with_old_keys(db: &Db) -> (license::Model, user::Model, group::Model, institution::Model) {
    let license = license::Model {
        id: Id::new(),
        number: "1".to_owned(),
        kind: LicenseKind::Commercial,
        holder: "Alder".to_owned(),
        starts_on: Date::today(),
        expires_on: None,
    };
    license::Entity::insert(license.clone().into_active_model().reset_all())
        .exec_without_returning(db.write())
        .await
        .unwrap();
    let mut user = user::Model::empty(Id::new(), license.id);
    let names = UserNames { first_name: Given("राम".to_owned()), last_name: Given("O’Shea".to_owned()) };
    let fields =
        UserFields {
            username: Given("ram".to_owned()), nickname: Given("スズキ".to_owned()), ..UserFields::default()
        };
    user.apply(names, fields, &mut Validator::creating());
    let mut group = group::Model::empty(Id::new(), license.id);
    group.apply(
        GroupFields { name: Given("Station–Süd".to_owned()), ..GroupFields::default() },
        &mut Validator::creating(),
    );
    let mut site = institution::Model::empty(Id::new(), license.id);
    site.name = "張 Clinic".to_owned();
    site.name_key = "张 clinic".to_owned();
    let old_person = user::Model {
        first_name_key: "रम".to_owned(),
        last_name_key: "o’shea".to_owned(),
        nickname_key: Some("スズキ".to_owned()),
        search_key: "ram\nरम\no’shea\n\n\nram\toshea".to_owned(),
        ..user.clone()
    };
    let transaction = db.begin().await.unwrap();
    user::Entity::insert(old_person.clone().into_active_model().reset_all())
        .exec_without_returning(&transaction)
        .await
        .unwrap();
    let old_group = group::Model { name_key: "station–sud".to_owned(), ..group.clone() };
    group::Entity::insert(old_group.into_active_model().reset_all())
        .exec_without_returning(&transaction)
        .await
        .unwrap();
    let old_site = institution::Model { name_key: "張 clinic".to_owned(), ..site.clone() };
    institution::Entity::insert(old_site.into_active_model().reset_all())
        .exec_without_returning(&transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    (license, user, group, site)
}

async fn text_of_an_earlier_version_is_folded_again(settings: DatabaseSettings) {
    let db = Db::open(&settings).await.unwrap();
    let (license, user, group, site) = store_with_old_keys(&db).await;
    let definition = attribute_definition::Model {
        kind: AttributeKind::String,
        ..attribute_definition::Model::empty(Id::new(), license.id)
    };
    attribute_definition::Entity::insert(definition.clone().into_active_model().reset_all())
        .exec_without_returning(db.write())
        .await
        .unwrap();
    let value = attribute_value::Model {
        user_id: user.id,
        definition_id: definition.id,
        value: "علی".to_owned(),
        value_key: "علی".to_owned(),
    };
    attribute_value::Entity::insert(value.into_active_model().reset_all())
        .exec_without_returning(db.write())
        .await
        .unwrap();
    let mut forget = Query::delete();
    forget.from_table("seaql_migrations").and_where(Expr::col("version").eq(FOLDING));
    db.write().execute(&forget).await.unwrap();
    db.close().await.unwrap();

    let db = Db::open(&settings).await.unwrap();
    assert_eq!(user::Entity::find_by_id(user.id).one(db.read()).await.unwrap().unwrap(), user);
    assert_eq!(group::Entity::find_by_id(group.id).one(db.read()).await.unwrap().unwrap(), group);
    assert_eq!(institution::Entity::find_by_id(site.id).one(db.read()).await.unwrap().unwrap(), site);
    let value = attribute_value::Entity::find().one(db.read()).await.unwrap().unwrap();
    assert_eq!(value.value_key, "علي");
    sealer::seal_committed(&db).await.unwrap();
    assert!(audit_event::Entity::find().one(db.read()).await.unwrap().is_none());
    db.close().await.unwrap();
}

#[tokio::test]
async fn text_is_folded_again_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("roster.db").display());
    text_of_an_earlier_version_is_folded_again(DatabaseSettings::new(url, 2)).await;
}

#[tokio::test]
async fn text_is_folded_again_on_postgres() {
    let Some(server) = postgres::server() else { return };
    let url = server.fresh_database().await;
    text_of_an_earlier_version_is_folded_again(DatabaseSettings::new(url, 2)).await;
}

#[tokio::test]
async fn new_columns_are_filled_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("roster.db").display());
    new_columns_of_an_earlier_version_are_filled(DatabaseSettings::new(url, 2)).await;
}

#[tokio::test]
async fn new_columns_are_filled_on_postgres() {
    let Some(server) = postgres::server() else { return };
    let url = server.fresh_database().await;
    new_columns_of_an_earlier_version_are_filled(DatabaseSettings::new(url, 2)).await;
}
