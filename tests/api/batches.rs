//! Statements that write many rows: each row arrives as it is, however many there are.

use roster::db::batch::{self, IfExists};
use roster::entity::{credential, trusted_document, user};
use roster::scalar::{Date, Id, now};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};

use crate::app::App;
use crate::crowd;

/// A user in whom the optional values that depend on `number` are set.
fn user(app: &App, number: usize) -> user::Model {
    let mut user = crowd::model(app.license, "Ann", &format!("O'Möss \"{number}\""));
    user.nickname = number.is_multiple_of(2).then(|| format!("N{number}"));
    user.birth_date = number.is_multiple_of(3).then(Date::today);
    user.last_login = number.is_multiple_of(5).then(now);
    user.external_id = (!number.is_multiple_of(7)).then(|| format!("{{P,{number}}}"));
    user.is_active = !number.is_multiple_of(4);
    user.update_derived();
    user
}

async fn stored(app: &App, users: &[user::Model]) -> Vec<user::Model> {
    let listed = user::Column::Id.is_in(users.iter().map(|user| user.id));
    user::Entity::find().filter(listed).order_by_asc(user::Column::Id).all(app.db.read()).await.unwrap()
}

on_every_database! {
    async fn rows_are_inserted_and_updated_as_they_are(app: App) {
        for count in [1, 2, 3, 256, 300] {
            let mut users: Vec<user::Model> = (0..count).map(|number| user(&app, 1_000 * count + number)).collect();
            let transaction = app.db.begin().await.unwrap();
            batch::insert(&transaction, &users, IfExists::Fail).await.unwrap();
            transaction.commit().await.unwrap();
            assert_eq!(stored(&app, &users).await, users, "{count}");
            for user in &mut users {
                user.nickname = if user.nickname.is_none() { Some("was null".to_owned()) } else { None };
                user.last_login = if user.last_login.is_none() { Some(now()) } else { None };
                user.version += 1;
                user.update_derived();
            }
            let transaction = app.db.begin().await.unwrap();
            batch::update(&transaction, &users).await.unwrap();
            transaction.commit().await.unwrap();
            assert_eq!(stored(&app, &users).await, users, "{count}");
        }
        let transaction = app.db.begin().await.unwrap();
        let missing = [user(&app, 1), user(&app, 2)];
        assert_eq!(batch::update(&transaction, &missing).await, Err(DbErr::RecordNotUpdated));
    }

    async fn a_row_that_exists_fails_or_is_left_out_or_updated(app: App) {
        let credentials = |user: &[Id], hash: &str| -> Vec<credential::Model> {
            user.iter().map(|id| credential::Model { user_id: *id, password_hash: hash.to_owned() }).collect()
        };
        let users: Vec<Id> = crowd::users(&app, &[("Ann", "Moss"); 5]).await;
        let hash = async |number: usize| {
            let row = credential::Entity::find_by_id(users[number]).one(app.db.read()).await.unwrap();
            row.map(|row| row.password_hash)
        };
        for (some, hash) in [(&users[..3], "first"), (&users[4..], "only")] {
            batch::insert(app.db.write(), &credentials(some, hash), IfExists::Fail).await.unwrap();
        }
        for some in [&users[..1], &users[..]] {
            assert!(batch::insert(app.db.write(), &credentials(some, "second"), IfExists::Fail).await.is_err());
        }
        assert_eq!((hash(0).await.as_deref(), hash(3).await), (Some("first"), None), "nothing is written");
        batch::insert(app.db.write(), &credentials(&users, "third"), IfExists::Skip).await.unwrap();
        assert_eq!((hash(0).await.as_deref(), hash(3).await.as_deref()), (Some("first"), Some("third")));
        for (some, new) in [(&users[..], "fourth"), (&users[..1], "fifth")] {
            let update = IfExists::Update(&[credential::Column::PasswordHash]);
            batch::insert(app.db.write(), &credentials(some, new), update).await.unwrap();
        }
        assert_eq!((hash(0).await.as_deref(), hash(1).await.as_deref()), (Some("fifth"), Some("fourth")));
        assert_eq!(hash(4).await.as_deref(), Some("fourth"));
    }

    async fn thousands_of_rows_are_inserted_once_and_deleted(app: App) {
        let count = async || trusted_document::Entity::find().count(app.db.read()).await.unwrap();
        let before = count().await;
        let published_at = now();
        let document = |number| trusted_document::Model {
            set_name: "a".to_owned(),
            id: format!("%{number}"),
            name: None,
            body: "{ viewer { id } }".to_owned(),
            published_at,
        };
        let rows: Vec<trusted_document::Model> = (0..9_000).map(document).collect();
        for some in [&rows[..1], &rows[..4_500], &rows[..]] {
            batch::insert(app.db.write(), some, IfExists::Skip).await.unwrap();
            assert_eq!(count().await, before + some.len() as u64);
        }
        for left in [8_999, 8_990, 10, 0] {
            batch::delete(app.db.write(), &rows[left..]).await.unwrap();
            assert_eq!(count().await, before + left as u64);
        }
        batch::delete(app.db.write(), &rows).await.unwrap();
        assert_eq!(count().await, before);
    }
}
