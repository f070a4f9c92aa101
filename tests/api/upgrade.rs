//! A directory of an earlier version is brought up to date when it is opened.

use async_graphql::MaybeUndefined::Value as Given;
use migration::{Migrator, MigratorTrait};
use roster::db::{Db, Settings};
use roster::entity::license::LicenseKind;
use roster::entity::user::{self, Column, Names, Role, UserFields};
use roster::entity::{audit_event, license};
use roster::form::Form;
use roster::scalar::{Date, Id};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Iterable, ModelTrait, QueryFilter,
};

use crate::postgres;

/// How many steps the tables had taken before people could be filtered and sorted by everything.
const STEPS_BEFORE_FILTERS: u32 = 5;

/// The columns that came later.
fn is_new(column: Column) -> bool {
    matches!(
        column,
        Column::NicknameKey | Column::CertifiedEmailKey | Column::PositionKey | Column::RoleKey | Column::Avatar
    )
}

async fn people_of_an_earlier_version_are_found_by_what_is_new(settings: Settings) {
    let db = Db::connect(&settings).await.unwrap();
    Migrator::up(db.write(), Some(STEPS_BEFORE_FILTERS)).await.unwrap();
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
    let mut people = Vec::new();
    // More than are looked through at once.
    for n in 0..1_003 {
        let mut person = user::Model::blank(Id::new(), license.id);
        let names = Names { first_name: Given("Ann".to_owned()), last_name: Given(format!("Berg {n}")) };
        let fields = UserFields {
            username: Given(format!("u{n}")),
            nickname: Given(format!("Änn{n}")),
            position: Given("Ärztin".to_owned()),
            certified_email: Given("Legal@MÜNCHEN.example".to_owned()),
            role: Given([Role::User, Role::Admin, Role::LicenseAdmin][n % 3]),
            ..UserFields::default()
        };
        person.lay_over(names, fields, &mut Form::creating());
        let columns: Vec<Column> = Column::iter().filter(|column| !is_new(*column)).collect();
        let values: Vec<Expr> = columns.iter().map(|column| Expr::val(person.get(*column))).collect();
        let mut insert = Query::insert();
        insert.into_table(user::Entity).columns(columns).values(values).unwrap();
        db.write().execute(&insert).await.unwrap();
        people.push(person);
    }
    db.close().await.unwrap();

    let db = Db::open(&settings).await.unwrap();
    for expected in &people {
        let found = user::Entity::find_by_id(expected.id).one(db.read()).await.unwrap().unwrap();
        assert_eq!(found, *expected);
    }
    let by_nickname = user::Entity::find().filter(Column::NicknameKey.eq("ann7"));
    assert_eq!(by_nickname.one(db.read()).await.unwrap().unwrap().id, people[7].id);
    // What follows from the rest is no change that anybody made.
    assert!(audit_event::Entity::find().one(db.read()).await.unwrap().is_none());
    let versions = user::Entity::find().filter(Column::Version.ne(1).or(Column::RoleKey.is_null()));
    assert!(versions.one(db.read()).await.unwrap().is_none());
    db.close().await.unwrap();
}

#[tokio::test]
async fn on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("roster.db").display());
    people_of_an_earlier_version_are_found_by_what_is_new(Settings { url, connections: 2 }).await;
}

#[tokio::test]
async fn on_postgres() {
    let Some(server) = postgres::server() else { return };
    let url = server.fresh_database().await;
    people_of_an_earlier_version_are_found_by_what_is_new(Settings { url, connections: 2 }).await;
}
