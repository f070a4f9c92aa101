//! `roster invite`: everybody who was never invited.

use async_graphql::MaybeUndefined::Undefined;
use chrono::TimeDelta;
use roster::auth::key_ring::KeyRing;
use roster::auth::server_key::Key;
use roster::entity::audit_event::{self, AuditAction};
use roster::entity::mail;
use roster::entity::user::UserFields;
use roster::i18n::language::Language;
use roster::mail::MailQueue;
use roster::user::never_invited::{self, SendingTimes};
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _};
use serde_json::json;

use crate::app::{App, KEY};
use crate::process::Sandbox;

async fn with_users(sandbox: Sandbox) -> Sandbox {
    let sandbox = sandbox.with_admin().await;
    let user = |fields: serde_json::Value| {
        let mut user = json!({ "firstName": "Ann", "lastName": "Byron" });
        user.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "user": user }).to_string() + "\n"
    };
    let lines: String = [
        json!({ "email": "ann@example.org" }),
        json!({ "email": "bo@example.org" }),
        json!({ "email": "inactive@example.org", "isActive": false }),
        json!({ "email": "known@example.org", "lastLogin": "2020-01-02T03:04:05Z" }),
        json!({ "username": "nameless" }),
    ]
    .map(user)
    .concat();
    std::fs::write(sandbox.path("people.ndjson"), lines).unwrap();
    let output = sandbox.run(&["import", "people.ndjson"]).await;
    assert_eq!(output.code, 0, "{output:?}");
    sandbox
}

in_every_sandbox! {
    async fn everybody_who_was_never_invited_is_invited_once(sandbox: Sandbox) {
        let sandbox = with_users(sandbox).await;
        let tried = sandbox.run(&["invite", "--never-invited", "--dry-run"]).await;
        assert_eq!((tried.code, tried.err.as_str()), (0, ""), "{tried:?}");
        for text in ["<ann@example.org>", "<bo@example.org>", "Would invite 2 users, 60 a minute.", "Skipped 1 user without an email address."] {
            assert!(tried.out.contains(text), "{text}: {tried:?}");
        }
        let db = sandbox.db().await;
        assert_eq!(mail::Entity::find().count(db.read()).await.unwrap(), 0, "a dry run");
        let output = sandbox.run(&["invite", "--never-invited", "--per-minute", "1", "--language", "fr"]).await;
        assert!(output.code == 0 && output.out.starts_with("Invited 2 users. A server sends the emails, 1 a minute."), "{output:?}");
        let mails = mail::Entity::find().order_by_asc(mail::Column::NextTryAt).all(db.read()).await.unwrap();
        let [first, second] = mails.as_slice() else { panic!("{mails:?}") };
        assert_eq!((second.next_try_at - first.next_try_at, first.language.tag()), (TimeDelta::minutes(1), "fr"));
        let again = sandbox.run(&["invite", "--never-invited"]).await;
        assert!(again.code == 0 && again.out.starts_with("Invited 0 users."), "{again:?}");
        let created = audit_event::Entity::find().filter(audit_event::Column::Action.eq(AuditAction::LinkCreated));
        assert_eq!(created.count(db.read()).await.unwrap(), 2);
        assert_eq!(sandbox.run(&["audit", "verify"]).await.code, 0);
    }

    async fn a_link_that_was_handed_over_stays_valid(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let names = ["--first-name", "Ann", "--last-name", "Byron", "--email", "ann@example.org"];
        let created = sandbox.run(&[&["admin", "create"][..], &names].concat()).await;
        assert!(created.code == 0 && created.out.contains("#rol_"), "{created:?}");
        let output = sandbox.run(&["invite", "--never-invited"]).await;
        assert!(output.code == 0 && output.out.starts_with("Invited 0 users."), "{output:?}");
    }

    async fn whom_to_invite_must_be_given(sandbox: Sandbox) {
        let output = sandbox.run(&["invite"]).await;
        assert!(output.code == 2 && output.err.contains("--never-invited"), "{output:?}");
        let unknown = sandbox.with_admin().await.run(&["invite", "--never-invited", "--language", "xx"]).await;
        let expected = format!("expected one of {}", Language::ALL.map(Language::tag).join(", "));
        assert!(unknown.code == 2 && unknown.err.contains(&expected), "{unknown:?}");
    }
}

on_every_database! {
    async fn concurrent_commands_invite_each_user_once(app: App) {
        for name in ["Ann", "Bo", "Cy"] {
            app.create(name, app.license, UserFields::default(), Undefined).await;
        }
        let candidates = never_invited::candidates(&app.db, app.license, None).await.unwrap();
        let (keys, count) = (KeyRing::from(Key::from(KEY)), candidates.len() as u64);
        assert!(count >= 3, "{candidates:?}");
        let queue = MailQueue { keys: &keys, language: Language::English };
        let invite = async || {
            let mut times = SendingTimes::new(60);
            never_invited::invite(&app.db, queue, &candidates, &mut times).await.unwrap()
        };
        let (first, second, third) = tokio::join!(invite(), invite(), invite());
        assert_eq!([first, second, third].iter().sum::<u64>(), count, "{first} {second} {third}");
        assert_eq!(mail::Entity::find().count(app.db.read()).await.unwrap(), count);
    }
}
