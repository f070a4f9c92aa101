//! Emails during failures of the mail server, the program or the database.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt as _};
use roster::db::Db;
use roster::entity::mail;
use roster::scalar::now;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait as _, Database, DatabaseBackend, EntityTrait, PaginatorTrait, QueryFilter, Statement,
};
use serde_json::{Value, json};

use super::ANOTHER;
use crate::postgres;
use crate::process::{ADMIN, Caller, Sandbox, until};
use crate::smtp::{Behaviour, Options, Received, Smtp};

/// The same for every start, because links and Message-IDs contain it.
const PUBLIC_URL: [&str; 2] = ["--public-url", "https://people.example.org"];
const MANY: usize = 300;
/// Polling more often would slow down the work that is waited for.
const ASKS_EVERY: Duration = Duration::from_millis(50);

/// Creates `count` users, eight at a time, each of whom gets an invitation email. Returns their ids.
async fn create_users(root: &Caller, count: usize) -> Vec<Value> {
    const CREATE: &str = "mutation ($input: CreateUserInput!) { createUser(input: $input) { success user { id } } }";
    let one = async |_| {
        let email = format!("{}@x.example", roster::scalar::Id::new().0);
        let input = json!({ "firstName": "Ada", "lastName": "Byron", "email": email });
        let created = root.data(CREATE, json!({ "input": input })).await["createUser"].clone();
        assert_eq!(created["success"], json!(true), "{created:#}");
        created["user"]["id"].clone()
    };
    stream::iter(0..count).map(one).buffered(8).collect().await
}

/// The state and the last error of a user's invitation, as administrators see them.
async fn invitation(root: &Caller, id: &Value) -> (String, Option<String>) {
    let query = "query ($id: ID!) { user(by: { id: $id }) { invitation { state lastError } } }";
    let status = root.data(query, json!({ "id": id })).await["user"]["invitation"].clone();
    let text = |field: &str| status[field].as_str().map(str::to_owned);
    (text("state").unwrap(), text("lastError"))
}

/// Ends the pauses after failed attempts. Emails under way are left alone, or they would be sent twice: they are
/// claimed for at least half a minute, longer than any pause in these tests.
async fn end_pauses(db: &Db) {
    let pauses = || mail::Column::NextTryAt.between(now(), now() + TimeDelta::seconds(20));
    if mail::Entity::find().filter(pauses()).count(db.read()).await.unwrap() > 0 {
        let due = mail::Entity::update_many().col_expr(mail::Column::NextTryAt, Expr::value(now()));
        due.filter(pauses()).exec(db.write()).await.unwrap();
    }
}

/// Ends all waits; no server may be running.
async fn end_waits(db: &Db) {
    let due = mail::Entity::update_many().col_expr(mail::Column::NextTryAt, Expr::value(now()));
    due.exec(db.write()).await.unwrap();
}

/// Waits until every email is sent.
async fn drain(db: &Db) {
    let all_sent = until(|| async {
        tokio::time::sleep(ASKS_EVERY).await;
        end_pauses(db).await;
        (mail::Entity::find().count(db.read()).await.unwrap() == 0).then_some(())
    });
    all_sent.await.expect("every email is sent");
}

/// The Message-ID and the link of an email, the same in every copy.
fn identity(mail: &Received) -> (&str, &str) {
    let id = mail.header("Message-ID").trim_start_matches('<').split('@').next().unwrap();
    let link = mail.text.as_deref().unwrap().split_whitespace().find(|word| word.contains("#rol_"));
    (id, link.unwrap())
}

/// The number of copies of each email.
fn copies(mails: &[Received]) -> HashMap<&str, usize> {
    mails.iter().fold(HashMap::new(), |mut copies, mail| {
        *copies.entry(identity(mail).0).or_default() += 1;
        copies
    })
}

/// Asserts that `count` emails arrived, each once and each for a different recipient.
fn assert_once_each(mails: &[Received], count: usize) {
    let users: HashSet<&str> = mails.iter().map(|mail| mail.recipients[0].as_str()).collect();
    assert_eq!((copies(mails).len(), users.len(), mails.len()), (count, count, count));
}

/// Asserts that administrators see why emails wait, and that all of them arrive once the mail server has recovered.
async fn survives(sandbox: Sandbox, seconds: &str, behaviours: &[(Behaviour, &str)]) {
    let Some(smtp) = Smtp::start(Options::default()) else { return };
    let sandbox = sandbox.with_admin().await;
    let server = sandbox.serve(&["--smtp-url", &smtp.url(), "--smtp-seconds", seconds]).await;
    let (root, db) = (server.sign_in(ADMIN).await, sandbox.db().await);
    for (round, (behaviour, reason)) in behaviours.iter().enumerate() {
        smtp.behave(*behaviour);
        // Emails are sent in the order in which users were created.
        let users = [create_users(&root, 1).await, create_users(&root, 9).await].concat();
        assert_eq!(smtp.mails().len(), round * 10, "{behaviour:?}: no email is sent, and no request waited for it");
        let reported = until(|| async {
            tokio::time::sleep(ASKS_EVERY).await;
            let (state, error) = invitation(&root, &users[0]).await;
            assert_eq!(state, "QUEUED", "{behaviour:?}");
            error
        });
        let reported = reported.await.unwrap();
        assert!(reported.contains(reason), "{behaviour:?}: {reported}");
        // Ends attempts that are under way, so that none times out after the mail server has recovered.
        smtp.close_connections();
        smtp.behave(Behaviour::Ok);
        drain(&db).await;
        for id in &users {
            assert_eq!(invitation(&root, id).await, ("SENT".to_owned(), None), "{behaviour:?}");
        }
    }
    assert_once_each(&smtp.mails(), behaviours.len() * 10);
    assert!(!server.err().contains("ERROR"), "{}", server.err());
}

in_every_sandbox! {
    async fn every_email_arrives_after_a_failure_of_the_mail_server(sandbox: Sandbox) {
        use Behaviour::{Busy, Closed, Down, Refuse};
        survives(sandbox, "2", &[(Down, "refused"), (Busy, "421"), (Closed, "554"), (Refuse, "451")]).await;
    }

    async fn a_permanently_rejected_email_fails_at_once(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&["--smtp-url", &smtp.url(), "--smtp-seconds", "2"]).await;
        let (root, db) = (server.sign_in(ADMIN).await, sandbox.db().await);
        let mut failed = Vec::new();
        for (behaviour, words) in [
            (Behaviour::Reject, "550 5.1.1 nobody has this address"),
            (Behaviour::Spurn, "554 5.6.0 nobody wants to read this"),
        ] {
            smtp.behave(behaviour);
            let user_id = create_users(&root, 1).await.remove(0);
            let reported = until(|| async {
                tokio::time::sleep(ASKS_EVERY).await;
                let (state, error) = invitation(&root, &user_id).await;
                (state == "FAILED").then_some(error)
            });
            assert_eq!(reported.await.unwrap().unwrap(), format!("the mail server answers {words}"));
            assert_eq!(mail::Entity::find().count(db.read()).await.unwrap(), 0, "a rejected email is not retried");
            failed.push(user_id);
        }
        let found = "{ users(filter: { invitation: [FAILED] }) { nodes { id } } }";
        let found = root.data(found, json!({})).await["users"]["nodes"].clone();
        let found: HashSet<&str> = found.as_array().unwrap().iter().filter_map(|user| user["id"].as_str()).collect();
        assert_eq!(found, failed.iter().filter_map(Value::as_str).collect());
        let events = root.data("{ auditEvents(filter: { action: [MAIL_FAILED] }) { totalCount } }", json!({})).await;
        assert_eq!(events["auditEvents"]["totalCount"], 2);
    }

    async fn every_email_arrives_after_a_timeout_of_the_mail_server(sandbox: Sandbox) {
        let behaviours = [
            (Behaviour::Mute, "was not ready within 1 s"),
            (Behaviour::Slow(Duration::from_millis(600)), "was not ready within 1 s"),
            (Behaviour::Hang, "did not accept the email within 10 s"),
        ];
        survives(sandbox, "1", &behaviours).await;
    }

    async fn requests_do_not_wait_for_a_hanging_mail_server(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let sandbox = sandbox.with_admin().await;
        // A timeout of one minute, which outlasts each failure below.
        let server = sandbox.serve(&["--smtp-url", &smtp.url(), "--smtp-seconds", "60"]).await;
        let (root, db) = (server.sign_in(ADMIN).await, sandbox.db().await);
        for (round, behaviour) in [Behaviour::Mute, Behaviour::Hang, Behaviour::Slow(Duration::from_secs(20))].into_iter().enumerate() {
            smtp.behave(behaviour);
            create_users(&root, 1).await;
            until(|| async { (smtp.connections().1 > 0).then_some(()) }).await.expect("an email is under way");
            create_users(&root, 19).await;
            assert_eq!(smtp.mails().len(), round * 20, "{behaviour:?}: no email is sent, and no request waited for it");
            smtp.behave(Behaviour::Ok);
            drain(&db).await;
        }
        assert_once_each(&smtp.mails(), 60);
    }

    async fn an_email_is_sent_twice_only_if_the_server_dies_before_recording_it(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let sandbox = sandbox.with_admin().await;
        let url = smtp.url();
        let arguments = [&["--smtp-url", &url][..], &PUBLIC_URL].concat();
        let mut server = sandbox.serve(&arguments).await;
        let (root, db) = (server.sign_in(ADMIN).await, sandbox.db().await);
        smtp.behave(Behaviour::Busy);
        create_users(&root, MANY).await;
        smtp.behave(Behaviour::Late);
        smtp.until(2).await;
        server.signal("KILL");
        assert_eq!(server.status().await.code(), None, "the server was killed");
        let unnoted = smtp.mails();
        smtp.behave(Behaviour::Ok);
        end_waits(&db).await;
        let server = sandbox.serve(&arguments).await;
        drain(&db).await;

        let mails = smtp.mails();
        let copies = copies(&mails);
        assert_eq!((copies.len(), mails.len()), (MANY, MANY + unnoted.len()));
        assert!(unnoted.len() * 100 <= MANY, "at most one in a hundred is sent twice: {}", unnoted.len());
        for first in &unnoted {
            assert_eq!(copies[identity(first).0], 2);
            let again = mails.iter().rfind(|mail| mail.recipients == first.recipients).unwrap();
            assert_eq!(identity(again), identity(first), "both copies are the same email");
            let token = identity(first).1.split_once('#').unwrap().1;
            let activate = "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { success } }";
            let input = json!({ "input": { "token": token, "password": ANOTHER } });
            let done = server.caller(None).data(activate, input).await;
            assert_eq!(done["activateAccount"]["success"], json!(true), "the link of the first copy works");
        }
    }

    async fn two_instances_send_each_email_once(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let sandbox = sandbox.with_admin().await;
        let (url, db) = (smtp.url(), sandbox.db().await);
        smtp.behave(Behaviour::Busy);
        let names = ["one.example.org", "two.example.org"];
        let mut servers = Vec::new();
        for name in names {
            servers.push(sandbox.serve(&["--smtp-url", &url, "--public-url", &format!("https://{name}")]).await);
        }
        let root = servers[0].sign_in(ADMIN).await;
        create_users(&root, MANY).await;
        // Each instance waits for the emails that it has claimed, so that neither finishes before the other has
        // started.
        smtp.behave(Behaviour::Late);
        let both = until(|| async {
            tokio::time::sleep(ASKS_EVERY).await;
            end_pauses(&db).await;
            let mails = smtp.mails();
            names.iter().all(|name| mails.iter().any(|mail| mail.hello == *name)).then_some(())
        });
        both.await.expect("both instances send emails");
        smtp.behave(Behaviour::Ok);
        drain(&db).await;
        assert_once_each(&smtp.mails(), MANY);
        for server in &servers {
            assert!(!server.err().contains("ERROR") && !server.err().contains("locked"), "{}", server.err());
        }
    }

    async fn an_email_under_way_at_shutdown_arrives_once(sandbox: Sandbox) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let sandbox = sandbox.with_admin().await;
        let (url, db) = (smtp.url(), sandbox.db().await);
        // In the second case, there is no time to finish sending.
        for (round, (delay, is_sent)) in [(200, true), (30_000, false)].into_iter().enumerate() {
            let mut server = sandbox.serve(&["--smtp-url", &url]).await;
            smtp.behave(Behaviour::Slow(Duration::from_millis(delay)));
            create_users(&server.sign_in(ADMIN).await, 1).await;
            until(|| async { (smtp.connections().1 > 0).then_some(()) }).await.expect("an email is under way");
            server.signal("TERM");
            assert_eq!(server.code().await, 0, "{}", server.err());
            assert_eq!(smtp.mails().len(), round + usize::from(is_sent));
            assert_eq!(mail::Entity::find().count(db.read()).await.unwrap() == 0, is_sent);

            smtp.behave(Behaviour::Ok);
            end_waits(&db).await;
            let _server = sandbox.serve(&["--smtp-url", &url]).await;
            drain(&db).await;
            assert_once_each(&smtp.mails(), round + 1);
        }
    }
}

/// Closes all connections to a database and prevents new ones until it is brought back.
async fn take_away(database: &str) {
    let admin = Database::connect(postgres::server().unwrap().admin_url()).await.unwrap();
    admin.execute_unprepared(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await.unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    let disconnected =
        until(|| async { (admin.execute_unprepared(&end).await.unwrap().rows_affected() == 0).then_some(()) });
    disconnected.await.expect("all connections are closed");
    admin.close().await.unwrap();
}

async fn bring_back(database: &str) {
    let admin = Database::connect(postgres::server().unwrap().admin_url()).await.unwrap();
    admin.execute_unprepared(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await.unwrap();
    admin.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_email_sent_during_a_database_outage_is_sent_once() {
    let (Some(sandbox), Some(smtp)) = (Sandbox::on_postgres().await, Smtp::start(Options::default())) else { return };
    let sandbox = sandbox.with_admin().await;
    let server = sandbox.serve(&["--smtp-url", &smtp.url()]).await;
    let root = server.sign_in(ADMIN).await;
    smtp.behave(Behaviour::Late);
    let users = create_users(&root, 10).await;
    smtp.until(2).await;
    let db = sandbox.db().await;
    let name =
        db.read().query_one_raw(Statement::from_string(DatabaseBackend::Postgres, "SELECT current_database()::text"));
    let name: String = name.await.unwrap().unwrap().try_get_by_index(0).unwrap();
    db.close().await.unwrap();

    take_away(&name).await;
    smtp.behave(Behaviour::Ok);
    until(|| async { server.err().contains("failed to record that an email was sent").then_some(()) })
        .await
        .expect("the server logs that it could not record the email");
    let asked = root.try_execute("{ viewer { id } }", &json!({})).await.unwrap();
    assert_eq!(asked["errors"][0]["extensions"]["code"], json!("UNAVAILABLE"), "{asked:#}");
    bring_back(&name).await;
    let db = sandbox.db().await;
    drain(&db).await;
    assert_once_each(&smtp.mails(), users.len());
    for id in &users {
        assert_eq!(invitation(&root, id).await, ("SENT".to_owned(), None));
    }
}
