//! The server keys of a database, in the way of commands that run at once, of leaks, and of several licenses.

use std::fs;

use async_graphql::MaybeUndefined::Undefined;
use chrono::TimeDelta;
use roster::auth::key_state::{self, DatabaseKeys, Retirement};
use roster::auth::password::mark_of;
use roster::auth::server_key::Key;
use roster::auth::{one_time_link, token};
use roster::db::{Db, rows};
use roster::entity::audit_event::AuditAction;
use roster::entity::link::{self, Purpose};
use roster::entity::user::UserFields;
use roster::entity::{credential, server_key};
use roster::scalar::{Id, now};
use sea_orm::EntityTrait as _;
use sea_orm::sea_query::Expr;
use serde_json::{Value, json};

use crate::app::{App, KEY};
use crate::audit;
use crate::process::Sandbox;

/// Replaces the key of a database, and returns the new one.
async fn rotate(db: &Db, current: &Key) -> Key {
    let next = Key::random().unwrap();
    key_state::announce(db, &next).await.unwrap();
    key_state::activate(db, current, &next).await.unwrap();
    next
}

/// The key of the database of an [`App`], to which the database is bound.
async fn bound_key(app: &App) -> Key {
    let key = Key::from(KEY);
    key_state::bind(&app.db, &key).await.unwrap();
    key
}

/// Retires the old key by force, as after a leak.
async fn retire(db: &Db, current: &Key) {
    let old = DatabaseKeys::read(db.read()).await.unwrap().old.unwrap();
    let retired = key_state::retire(db, current, &old, true).await.unwrap();
    assert!(matches!(retired, Retirement::Done(_)), "{retired:?}");
}

/// Creates a user of a license with a password that was hashed with a key.
async fn create_user(app: &App, license: Id, key: &Key) {
    let user = app.create("Ann", license, UserFields::default(), Undefined).await;
    let password_hash = format!("$argon2id$v=19$m=19456,t=2,p=1{}$c2FsdHNhbHQ$aGFzaA", mark_of(key));
    rows::insert(app.db.write(), credential::Model { user_id: user.id, password_hash }).await.unwrap();
}

/// The numbers of lost passwords that the trails of some licenses state.
async fn lost_passwords(db: &Db, licenses: [Id; 2]) -> [Value; 2] {
    let trail = audit::trail(db).await;
    let of_license = |license: Id| {
        trail.iter().find(|event| event.action == AuditAction::ServerKeyRetired && event.license_id == license)
    };
    licenses.map(|license| {
        let event = of_license(license).unwrap();
        let changes: Value = serde_json::from_str(event.changes.as_deref().unwrap()).unwrap();
        let lost = changes.as_array().unwrap().iter().find(|change| change["field"] == "passwords");
        lost.map(|change| change["before"].clone()).unwrap_or_default()
    })
}

on_every_database! {
    async fn a_rotation_that_another_one_has_overtaken_changes_nothing(app: App) {
        let first = bound_key(&app).await;
        let [mine, other] = [Key::random().unwrap(), Key::random().unwrap()];
        key_state::announce(&app.db, &mine).await.unwrap();
        key_state::announce(&app.db, &other).await.unwrap();
        key_state::activate(&app.db, &first, &mine).await.unwrap_err();
        let known = DatabaseKeys::read(app.db.read()).await.unwrap();
        assert_eq!((known.current, known.next), (Some(first.fingerprint_text()), Some(other.fingerprint_text())));
        key_state::activate(&app.db, &first, &other).await.unwrap();
    }

    async fn a_retirement_that_another_one_has_overtaken_deletes_nothing(app: App) {
        let first = bound_key(&app).await;
        let second = rotate(&app.db, &first).await;
        let known = DatabaseKeys::read(app.db.read()).await.unwrap();
        retire(&app.db, &second).await;
        let third = rotate(&app.db, &second).await;
        create_user(&app, app.license, &third).await;
        key_state::retire(&app.db, &second, &known.old.unwrap(), true).await.unwrap_err();
        assert_eq!(credential::Entity::find().all(app.db.read()).await.unwrap().len(), 1);
    }

    async fn the_trail_of_a_license_states_what_this_license_lost(app: App) {
        let first = bound_key(&app).await;
        create_user(&app, app.license, &first).await;
        let second = rotate(&app.db, &first).await;
        create_user(&app, app.other_license, &second).await;
        retire(&app.db, &second).await;
        // With that of the first administrator.
        assert_eq!(lost_passwords(&app.db, [app.license, app.other_license]).await, [json!(2), Value::Null]);
        assert_eq!(credential::Entity::find().all(app.db.read()).await.unwrap().len(), 1);
    }

    async fn emailed_links_end_with_a_key_that_is_retired_at_once(app: App) {
        let first = bound_key(&app).await;
        let mut links = Vec::new();
        for is_mailed in [true, false] {
            let user = app.create("Ann", app.license, UserFields::default(), Undefined).await;
            let token = token::from_seed(&first, user.id.0.as_bytes());
            let link = link::Model { is_mailed, ..one_time_link::build(&user, Purpose::Activation, &token) };
            rows::insert(app.db.write(), link).await.unwrap();
            links.push(token);
        }
        let second = rotate(&app.db, &first).await;
        retire(&app.db, &second).await;
        let found = one_time_link::find(&app.db, Purpose::Activation, &links[0]).await.unwrap();
        assert!(found.is_none(), "the key and a copy of the queue tell this link");
        let found = one_time_link::find(&app.db, Purpose::Activation, &links[1]).await.unwrap();
        assert!(found.is_some(), "a link that was handed over has no seed");
    }

    async fn links_outlive_a_key_that_was_replaced_long_before(app: App) {
        credential::Entity::delete_many().exec(app.db.write()).await.unwrap();
        let first = bound_key(&app).await;
        let second = rotate(&app.db, &first).await;
        let user = app.create("Ann", app.license, UserFields::default(), Undefined).await;
        let token = token::from_seed(&second, b"seed");
        let link = link::Model { is_mailed: true, ..one_time_link::build(&user, Purpose::Activation, &token) };
        rows::insert(app.db.write(), link).await.unwrap();
        let mut old = DatabaseKeys::read(app.db.read()).await.unwrap().old.unwrap();
        old.since = now() - TimeDelta::days(31);
        let retired = key_state::retire(&app.db, &second, &old, false).await.unwrap();
        assert!(matches!(retired, Retirement::Done(_)), "{retired:?}");
        assert!(one_time_link::find(&app.db, Purpose::Activation, &token).await.unwrap().is_some());
    }
}

in_every_sandbox! {
    async fn a_server_takes_over_a_key_that_it_lacked_as_soon_as_it_has_it(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let key = Key::random().unwrap();
        let fingerprint = Expr::value(key.fingerprint().to_vec());
        let bound = server_key::Entity::update_many().col_expr(server_key::Column::Fingerprint, fingerprint);
        bound.exec(sandbox.db().await.write()).await.unwrap();
        server.wait_for_log("does not have the server key").await;
        fs::write(sandbox.path("roster-data/roster.key"), key.to_base64()).unwrap();
        server.wait_for_log(&format!("current=\"{}\"", key.fingerprint_text())).await;
    }
}
