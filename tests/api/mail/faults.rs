//! Mails while something is broken: the mail server, the program or the database.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

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
use crate::process::{ADMIN, Caller, Home, until};
use crate::smtp::{Behaviour, Options, Received, Smtp};

/// The same for every start: links and Message-IDs are made of it.
const PUBLIC_URL: [&str; 2] = ["--public-url", "https://people.example.org"];
const MANY: usize = 300;
/// To ask more often would slow down what is waited for.
const ASKS_EVERY: Duration = Duration::from_millis(50);

/// Enters so many people, eight at a time, each of whom is sent a mail; returns their ids.
async fn enter(root: &Caller, count: usize) -> Vec<Value> {
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

/// What the administrator sees of somebody's invitation: its state and the last error.
async fn invitation(root: &Caller, id: &Value) -> (String, Option<String>) {
    let query = "query ($id: ID!) { user(by: { id: $id }) { invitation { state lastError } } }";
    let stands = root.data(query, json!({ "id": id })).await["user"]["invitation"].clone();
    let text = |field: &str| stands[field].as_str().map(str::to_owned);
    (text("state").unwrap(), text("lastError"))
}

/// Lets the time pass until which mails wait after a failure. Those that are being sent are left alone, or they would be
/// sent twice: they are taken for half a minute and longer, and no pause in these tests lasts as long.
async fn end_pauses(db: &Db) {
    let pauses = || mail::Column::NextTryAt.between(now(), now() + TimeDelta::seconds(20));
    if mail::Entity::find().filter(pauses()).count(db.read()).await.unwrap() > 0 {
        let due = mail::Entity::update_many().col_expr(mail::Column::NextTryAt, Expr::value(now()));
        due.filter(pauses()).exec(db.write()).await.unwrap();
    }
}

/// Lets all the time pass for which mails wait; no program may be running.
async fn end_waits(db: &Db) {
    let due = mail::Entity::update_many().col_expr(mail::Column::NextTryAt, Expr::value(now()));
    due.exec(db.write()).await.unwrap();
}

/// Waits until every mail is sent.
async fn drain(db: &Db) {
    let all_sent = until(|| async {
        tokio::time::sleep(ASKS_EVERY).await;
        end_pauses(db).await;
        (mail::Entity::find().count(db.read()).await.unwrap() == 0).then_some(())
    });
    all_sent.await.expect("every mail is sent");
}

/// By which a mail is known whoever sends it, and what says where its link leads.
fn known_by(mail: &Received) -> (&str, &str) {
    let id = mail.header("Message-ID").trim_start_matches('<').split('@').next().unwrap();
    let link = mail.text.as_deref().unwrap().split_whitespace().find(|word| word.contains("#rol_"));
    (id, link.unwrap())
}

/// How often each mail has arrived.
fn copies(mails: &[Received]) -> HashMap<&str, usize> {
    mails.iter().fold(HashMap::new(), |mut copies, mail| {
        *copies.entry(known_by(mail).0).or_default() += 1;
        copies
    })
}

/// Asserts that so many mails have arrived, each once and each for somebody else.
fn assert_once_each(mails: &[Received], count: usize) {
    let people: HashSet<&str> = mails.iter().map(|mail| mail.recipients[0].as_str()).collect();
    assert_eq!((copies(mails).len(), people.len(), mails.len()), (count, count, count));
}

/// Asserts that administrators see why mails wait, and that all of them arrive once the mail server is well again.
async fn survives(home: Home, seconds: &str, faults: &[(Behaviour, &str)]) {
    let Some(smtp) = Smtp::start(Options::default()) else { return };
    let home = home.with_admin().await;
    let server = home.serve(&["--smtp-url", &smtp.url(), "--smtp-seconds", seconds]).await;
    let (root, db) = (server.sign_in(ADMIN).await, home.db().await);
    for (round, (behaviour, reason)) in faults.iter().enumerate() {
        smtp.behave(*behaviour);
        // Whoever is entered first is written to first.
        let people = [enter(&root, 1).await, enter(&root, 9).await].concat();
        assert_eq!(smtp.mails().len(), round * 10, "{behaviour:?}: everybody was answered, and no mail has left");
        let told = until(|| async {
            tokio::time::sleep(ASKS_EVERY).await;
            let (state, error) = invitation(&root, &people[0]).await;
            assert_eq!(state, "QUEUED", "{behaviour:?}");
            error
        });
        let told = told.await.unwrap();
        assert!(told.contains(reason), "{behaviour:?}: {told}");
        // Nobody is in the middle of a mail then, and out of time just when the mail server is well again.
        smtp.close_connections();
        smtp.behave(Behaviour::Ok);
        drain(&db).await;
        for id in &people {
            assert_eq!(invitation(&root, id).await, ("SENT".to_owned(), None), "{behaviour:?}");
        }
    }
    assert_once_each(&smtp.mails(), faults.len() * 10);
    assert!(!server.err().contains("ERROR"), "{}", server.err());
}

in_every_home! {
    async fn every_mail_arrives_after_the_mail_server_was_down_or_refused_it(home: Home) {
        use Behaviour::{Busy, Closed, Down, Refuse};
        survives(home, "2", &[(Down, "refused"), (Busy, "421"), (Closed, "554"), (Refuse, "451")]).await;
    }

    async fn a_mail_that_is_refused_permanently_fails_at_once(home: Home) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let home = home.with_admin().await;
        let server = home.serve(&["--smtp-url", &smtp.url(), "--smtp-seconds", "2"]).await;
        let (root, db) = (server.sign_in(ADMIN).await, home.db().await);
        let mut failed = Vec::new();
        for (behaviour, words) in [
            (Behaviour::Reject, "550 5.1.1 nobody has this address"),
            (Behaviour::Spurn, "554 5.6.0 nobody wants to read this"),
        ] {
            smtp.behave(behaviour);
            let person = enter(&root, 1).await.remove(0);
            let told = until(|| async {
                tokio::time::sleep(ASKS_EVERY).await;
                let (state, error) = invitation(&root, &person).await;
                (state == "FAILED").then_some(error)
            });
            assert_eq!(told.await.unwrap().unwrap(), format!("the mail server answers {words}"));
            assert_eq!(mail::Entity::find().count(db.read()).await.unwrap(), 0, "it is not retried");
            failed.push(person);
        }
        let found = "{ users(filter: { invitation: [FAILED] }) { nodes { id } } }";
        let found = root.data(found, json!({})).await["users"]["nodes"].clone();
        let found: HashSet<&str> = found.as_array().unwrap().iter().filter_map(|user| user["id"].as_str()).collect();
        assert_eq!(found, failed.iter().filter_map(Value::as_str).collect());
        let events = root.data("{ auditEvents(filter: { action: [MAIL_FAILED] }) { totalCount } }", json!({})).await;
        assert_eq!(events["auditEvents"]["totalCount"], 2);
    }

    async fn every_mail_arrives_after_the_mail_server_hung_or_was_too_slow(home: Home) {
        let faults = [
            (Behaviour::Mute, "was not ready within 1 s"),
            (Behaviour::Slow(Duration::from_millis(600)), "was not ready within 1 s"),
            (Behaviour::Hang, "did not accept the email within 10 s"),
        ];
        survives(home, "1", &faults).await;
    }

    async fn nobody_waits_for_a_mail_server_that_hangs(home: Home) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let home = home.with_admin().await;
        // It may take a minute, and does until it is told otherwise.
        let server = home.serve(&["--smtp-url", &smtp.url(), "--smtp-seconds", "60"]).await;
        let (root, db) = (server.sign_in(ADMIN).await, home.db().await);
        for (round, behaviour) in [Behaviour::Mute, Behaviour::Hang, Behaviour::Slow(Duration::from_secs(20))].into_iter().enumerate() {
            smtp.behave(behaviour);
            enter(&root, 1).await;
            until(|| async { (smtp.connections().1 > 0).then_some(()) }).await.expect("a mail under way");
            enter(&root, 19).await;
            assert_eq!(smtp.mails().len(), round * 20, "{behaviour:?}: everybody was answered, and no mail has left");
            smtp.behave(Behaviour::Ok);
            drain(&db).await;
        }
        assert_once_each(&smtp.mails(), 60);
    }

    async fn a_mail_is_sent_twice_only_where_the_server_dies_before_it_could_note_that(home: Home) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let home = home.with_admin().await;
        let url = smtp.url();
        let arguments = [&["--smtp-url", &url][..], &PUBLIC_URL].concat();
        let mut server = home.serve(&arguments).await;
        let (root, db) = (server.sign_in(ADMIN).await, home.db().await);
        smtp.behave(Behaviour::Busy);
        enter(&root, MANY).await;
        smtp.behave(Behaviour::Late);
        smtp.until(2).await;
        server.signal("KILL");
        assert_eq!(server.status().await.code(), None, "killed");
        let unnoted = smtp.mails();
        smtp.behave(Behaviour::Ok);
        end_waits(&db).await;
        let server = home.serve(&arguments).await;
        drain(&db).await;

        let mails = smtp.mails();
        let copies = copies(&mails);
        assert_eq!((copies.len(), mails.len()), (MANY, MANY + unnoted.len()));
        assert!(unnoted.len() * 100 <= MANY, "at most one in a hundred: {}", unnoted.len());
        for first in &unnoted {
            assert_eq!(copies[known_by(first).0], 2);
            let again = mails.iter().rfind(|mail| mail.recipients == first.recipients).unwrap();
            assert_eq!(known_by(again), known_by(first), "the same mail");
            let token = known_by(first).1.split_once('#').unwrap().1;
            let activate = "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { success } }";
            let input = json!({ "input": { "token": token, "password": ANOTHER } });
            let done = server.caller(None).data(activate, input).await;
            assert_eq!(done["activateAccount"]["success"], json!(true), "the link of the first works");
        }
    }

    async fn two_instances_send_each_mail_once(home: Home) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let home = home.with_admin().await;
        let (url, db) = (smtp.url(), home.db().await);
        smtp.behave(Behaviour::Busy);
        let names = ["one.example.org", "two.example.org"];
        let mut servers = Vec::new();
        for name in names {
            servers.push(home.serve(&["--smtp-url", &url, "--public-url", &format!("https://{name}")]).await);
        }
        let root = servers[0].sign_in(ADMIN).await;
        enter(&root, MANY).await;
        // Each is held up by mails that it has taken, so that neither is done before the other has begun.
        smtp.behave(Behaviour::Late);
        let both = until(|| async {
            tokio::time::sleep(ASKS_EVERY).await;
            end_pauses(&db).await;
            let mails = smtp.mails();
            names.iter().all(|name| mails.iter().any(|mail| mail.hello == *name)).then_some(())
        });
        both.await.expect("both send");
        smtp.behave(Behaviour::Ok);
        drain(&db).await;
        assert_once_each(&smtp.mails(), MANY);
        for server in &servers {
            assert!(!server.err().contains("ERROR") && !server.err().contains("locked"), "{}", server.err());
        }
    }

    async fn a_mail_that_is_being_sent_when_the_server_stops_arrives_once(home: Home) {
        let Some(smtp) = Smtp::start(Options::default()) else { return };
        let home = home.with_admin().await;
        let (url, db) = (smtp.url(), home.db().await);
        // In the second case there is no time left for the mail.
        for (round, (delay, is_sent)) in [(600, true), (5_000, false)].into_iter().enumerate() {
            let mut server = home.serve(&["--smtp-url", &url]).await;
            smtp.behave(Behaviour::Slow(Duration::from_millis(delay)));
            enter(&server.sign_in(ADMIN).await, 1).await;
            until(|| async { (smtp.connections().1 > 0).then_some(()) }).await.expect("a mail under way");
            server.signal("TERM");
            let start = Instant::now();
            assert_eq!(server.code().await, 0, "{}", server.err());
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
            assert_eq!(smtp.mails().len(), round + usize::from(is_sent));
            assert_eq!(mail::Entity::find().count(db.read()).await.unwrap() == 0, is_sent);

            smtp.behave(Behaviour::Ok);
            end_waits(&db).await;
            let _server = home.serve(&["--smtp-url", &url]).await;
            drain(&db).await;
            assert_once_each(&smtp.mails(), round + 1);
        }
    }
}

/// Nobody can connect to the database of a URL until it is back, and nobody is connected.
async fn take_away(database: &str) {
    let admin = Database::connect(postgres::server().unwrap().admin_url()).await.unwrap();
    admin.execute_unprepared(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await.unwrap();
    let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    let gone = until(|| async { (admin.execute_unprepared(&end).await.unwrap().rows_affected() == 0).then_some(()) });
    gone.await.expect("nobody is connected");
    admin.close().await.unwrap();
}

async fn bring_back(database: &str) {
    let admin = Database::connect(postgres::server().unwrap().admin_url()).await.unwrap();
    admin.execute_unprepared(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true")).await.unwrap();
    admin.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_leaves_while_the_database_is_away_is_sent_once() {
    let (Some(home), Some(smtp)) = (Home::on_postgres().await, Smtp::start(Options::default())) else { return };
    let home = home.with_admin().await;
    let server = home.serve(&["--smtp-url", &smtp.url()]).await;
    let root = server.sign_in(ADMIN).await;
    smtp.behave(Behaviour::Late);
    let people = enter(&root, 10).await;
    smtp.until(2).await;
    let db = home.db().await;
    let name =
        db.read().query_one_raw(Statement::from_string(DatabaseBackend::Postgres, "SELECT current_database()::text"));
    let name: String = name.await.unwrap().unwrap().try_get_by_index(0).unwrap();
    db.close().await.unwrap();

    take_away(&name).await;
    smtp.behave(Behaviour::Ok);
    until(|| async { server.err().contains("failed to record that an email was sent").then_some(()) })
        .await
        .expect("nobody to tell");
    let asked = root.try_ask("{ viewer { id } }", &json!({})).await.unwrap();
    assert_eq!(asked["errors"][0]["extensions"]["code"], json!("UNAVAILABLE"), "{asked:#}");
    bring_back(&name).await;
    let db = home.db().await;
    drain(&db).await;
    assert_once_each(&smtp.mails(), people.len());
    for id in &people {
        assert_eq!(invitation(&root, id).await, ("SENT".to_owned(), None));
    }
}
