//! Writers of SQLite that wait for their turn share a commit.

use async_graphql::MaybeUndefined::Undefined;
use futures_util::future::join_all;
use roster::audit;
use roster::entity::mail;
use roster::entity::user::{self, UserFields};
use roster::error::Error;
use roster::i18n::language::Language;
use roster::mail::queue_password_reset;
use roster::scalar::{Id, now};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use tokio::task::yield_now;

use crate::app::{App, payload_errors};
use crate::process::until;

/// Begins a transaction, for which other writers wait on SQLite. The returned future ends it when so many of them wait; at once on
/// PostgreSQL, where nobody does.
async fn hold_back(app: &App, writers: usize) -> impl Future<Output = ()> {
    let transaction = app.db.begin().await.unwrap();
    let waiting = || app.db.pools().iter().find(|pool| pool.name == "write").unwrap().waiting;
    async move {
        while !app.db.is_postgres() && waiting() < writers {
            yield_now().await;
        }
        audit::commit(transaction, []).await.unwrap();
    }
}

/// Sends the queued emails while another transaction deactivates a user, which is lost after the mail worker has seen it. Returns
/// the outcome of sending; `None` if the machine was so slow that the two did not share a commit.
async fn send_mail_during_a_lost_deactivation(app: &App, user_id: Id) -> Option<Result<(), Error>> {
    let before = app.db.statements();
    let has_run = async |statements: u64| {
        while app.db.statements() < before + statements {
            yield_now().await;
        }
    };
    let deactivate_and_lose = async {
        // The worker has looked for an email and claimed it. Nobody else joins the group of its claim.
        has_run(2).await;
        let (alone, first) = tokio::join!(app.db.write().execute_unprepared("SELECT 1"), app.db.begin());
        alone.unwrap();
        let first = first.unwrap();
        set_active(&first, user_id, false).await;
        // The worker has found the user, and waits for its turn.
        has_run(4).await;
        let last = async {
            let last = app.db.begin().await.unwrap();
            // SQLite does so by itself when the disk is full.
            last.execute_unprepared("ROLLBACK").await.unwrap();
            audit::commit(last, []).await
        };
        tokio::join!(last, audit::commit(first, [])).1
    };
    let (sent, deactivated) = tokio::join!(app.try_to_send_mail(), deactivate_and_lose);
    deactivated.is_err().then_some(sent)
}

async fn set_active(connection: &impl ConnectionTrait, user_id: Id, is_active: bool) {
    let change = user::Entity::update_many().col_expr(user::Column::IsActive, Expr::value(is_active));
    change.filter(user::Column::Id.eq(user_id)).exec(connection).await.unwrap();
}

async fn assert_trail_is_intact(app: &App) {
    let report = audit::verify::verify(&app.db).await.unwrap();
    assert!(report.errors.is_empty(), "{:?}", report.errors);
}

#[tokio::test]
async fn concurrent_writes_take_far_fewer_commits() {
    const WRITES: u64 = 32;
    let app = App::on_sqlite().await;
    let admin = &app.license_admin().await;
    let before = *app.db.committed().borrow();
    let creations = (0..WRITES).map(|number| async move {
        admin.mutate("createGroup", "", json!({ "name": format!("Ward {number}") })).await
    });
    // By then each request has authenticated its caller, and waits for its turn.
    let release = hold_back(&app, usize::try_from(WRITES).unwrap()).await;
    let (created, ()) = tokio::join!(join_all(creations), release);
    for payload in created {
        assert_eq!(payload["success"], json!(true), "{payload:#}");
    }
    let commits = *app.db.committed().borrow() - before;
    assert!((1..=WRITES / 2).contains(&commits), "{commits} commits of {WRITES} writes");
    let data = admin.data("{ groups { totalCount } }", json!({})).await;
    assert_eq!(data["groups"]["totalCount"], json!(WRITES));
    assert_trail_is_intact(&app).await;
}

#[tokio::test]
async fn a_caller_who_disconnects_while_waiting_does_no_harm() {
    let app = App::on_sqlite().await;
    let (leaver, other) = (app.license_admin().await, app.license_admin().await);
    let transaction = app.db.begin().await.unwrap();
    let before = app.db.statements();
    let is_waiting = async {
        while app.db.statements() == before {
            yield_now().await;
        }
    };
    tokio::select! {
        payload = leaver.mutate("createGroup", "", json!({ "name": "Ward of the leaver" })) => panic!("{payload:#}"),
        () = is_waiting => {}
    }
    audit::commit(transaction, []).await.unwrap();
    assert_eq!(other.mutate("createGroup", "", json!({ "name": "Ward" })).await["success"], json!(true));
    // A mutation runs to its end, whether or not its client is there.
    until(|| async {
        let data = other.data("{ groups { totalCount } }", json!({})).await;
        (data["groups"]["totalCount"] == json!(2)).then_some(())
    })
    .await
    .expect("both groups exist");
    assert_trail_is_intact(&app).await;
}

#[tokio::test]
async fn an_email_is_sent_although_a_change_that_is_lost_would_have_made_it_needless() {
    let app = App::on_sqlite().await;
    let user = app.create("Ann", app.license, UserFields::default(), Undefined).await;
    let address = user.email.clone().unwrap();
    let mut sent = None;
    for _ in 0..50 {
        queue_password_reset(app.db.write(), &address, Language::English, None).await.unwrap();
        sent = send_mail_during_a_lost_deactivation(&app, user.id).await;
        if sent.is_some() {
            break;
        }
        set_active(app.db.write(), user.id, true).await;
        mail::Entity::delete_many().exec(app.db.write()).await.unwrap();
    }
    assert!(matches!(sent, Some(Err(Error::Unavailable(_)))), "{sent:?}");
    // The claim of the worker ends.
    let due = mail::Entity::update_many().col_expr(mail::Column::NextTryAt, Expr::value(now()));
    due.exec(app.db.write()).await.unwrap();
    let mails = app.mails().await;
    assert_eq!(mails.iter().filter(|mail| mail.to.contains(&address) && mail.link.is_some()).count(), 1, "{mails:?}");
}

on_every_database! {
    async fn a_rejected_write_takes_no_concurrent_one_along(app: App) {
        let admins = [app.license_admin().await, app.license_admin().await, app.license_admin().await];
        let emails = ["ada@example.org", "bob@example.org", "ada@example.org"];
        let creations = admins.iter().zip(emails).map(|(admin, email)| async move {
            let input = json!({ "firstName": "Ann", "lastName": "Lee", "email": email });
            admin.mutate("createUser", "user { email }", input).await
        });
        let release = hold_back(&app, 3).await;
        let (created, ()) = tokio::join!(join_all(creations), release);
        assert_eq!(created[1]["user"]["email"], json!("bob@example.org"), "{created:#?}");
        let rejected: Vec<_> = created.iter().filter(|payload| payload["success"] == json!(false)).collect();
        assert_eq!(rejected.len(), 1, "{created:#?}");
        // The other user with the address may not have been committed yet when the write failed.
        assert_eq!(payload_errors(rejected[0]), ["TAKEN input.email"]);
        let saved = user::Entity::find().filter(user::Column::LastName.eq("Lee")).count(app.db.read()).await.unwrap();
        assert_eq!(saved, 2);
        assert_trail_is_intact(&app).await;
    }

    async fn a_write_that_changes_nothing_is_answered_with_what_is_committed(app: App) {
        let admins = [app.license_admin().await, app.license_admin().await];
        let member = app.user().await.id();
        let group = admins[0].mutate("createGroup", "group { id }", json!({ "name": "Ward" })).await["group"]["id"].clone();
        let input = json!({ "groupId": group, "userId": member, "role": "MEMBER" });
        // The second finds the membership that the first has written, and adds nothing.
        let answers = admins.iter().map(|admin| admin.mutate("setGroupMember", "group { members { nodes { id } } }", input.clone()));
        let release = hold_back(&app, 2).await;
        let (answers, ()) = tokio::join!(join_all(answers), release);
        for payload in answers {
            let members = payload["group"]["members"]["nodes"].as_array().unwrap_or_else(|| panic!("{payload:#}"));
            assert!(members.contains(&json!({ "id": member })), "{payload:#}");
        }
    }

    async fn a_commit_wakes_whoever_waits_for_changes(app: App) {
        let user = app.user().await;
        let mut committed = app.db.committed();
        committed.borrow_and_update();
        let input = json!({ "id": user.id(), "nickname": "Ada" });
        assert_eq!(user.mutate("updateUser", "", input).await["success"], json!(true));
        assert!(committed.has_changed().unwrap());
    }
}
