//! The inbox of the audit trail on PostgreSQL, and the sealer that moves events from there into the chain.

use std::collections::BTreeSet;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::future::join_all;
use migration::{Migrator, MigratorTrait};
use roster::access::{AuthMethod, SignedIn, Viewer};
use roster::audit::sealer::{self, IfLocked, SealerMetrics};
use roster::audit::verify::verify;
use roster::audit::{self, Change, Entry};
use roster::client::Client;
use roster::db::{DatabaseSettings, Db, Transaction};
use roster::entity::audit_event::{self, AuditAction, SubjectType};
use roster::entity::audit_inbox::{self, Column};
use roster::entity::group::GroupFields;
use roster::entity::user::{self, Role, UserFields};
use roster::entity::{institution, license as stored_license};
use roster::group::input::UpdateGroupInput;
use roster::license;
use roster::scalar::{Id, now};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, IdenStatic, IntoActiveModel,
    Iterable, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::app::{App, Caller, LIFETIME};
use crate::audit::{another_handle, assert_intact, new_key, other_values, raw, sql, trail, verified};
use crate::process::{Sandbox, until, until_waiting};
use crate::{crowd, postgres};

/// The events in the inbox, oldest first.
async fn unsealed(db: &Db) -> Vec<audit_inbox::Model> {
    audit_inbox::Entity::find().order_by_asc(Column::Number).all(db.read()).await.unwrap()
}

/// The number of events in the inbox, whether they can be read or not.
async fn unsealed_count(db: &Db) -> u64 {
    audit_inbox::Entity::find().count(db.read()).await.unwrap()
}

/// The number of events in the chain, without sealing others first.
async fn sealed(db: &Db) -> u64 {
    audit_event::Entity::find().count(db.read()).await.unwrap()
}

/// Adds events of one user to the inbox, each in a transaction of its own.
async fn add_events(db: &Db, user: &user::Model, count: usize) {
    for _ in 0..count {
        let event = Entry::new(AuditAction::SignedIn, user);
        audit::commit(db.begin().await.unwrap(), [event]).await.unwrap();
    }
}

async fn text(db: &Db, sql: &str) -> String {
    let statement = Statement::from_string(DatabaseBackend::Postgres, sql);
    db.write().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Creates a user while another transaction has locked what the creation needs. That transaction commits with an event once
/// the creation waits. Returns the subjects of both events in the order of the trail, and the ID of the user.
async fn create_during(
    app: &App,
    admin: &Caller<'_>,
    other: Transaction,
    event: Entry,
    input: Value,
) -> ([Value; 2], Value) {
    app.seal().await;
    let before = i64::try_from(sealed(&app.db).await).unwrap();
    let commit = async {
        until_waiting(&app.db, 1).await;
        audit::commit(other, [event]).await.unwrap();
    };
    let (created, ()) = tokio::join!(admin.mutate("createUser", "user { id }", input), commit);
    app.seal().await;
    let since = audit_event::Entity::find().filter(audit_event::Column::Seq.gt(before));
    let since = since.order_by_asc(audit_event::Column::Seq).all(app.db.read()).await.unwrap();
    let subjects: Vec<Value> = since.iter().map(|event| json!(event.subject_id.0)).collect();
    (subjects.try_into().unwrap(), created["user"]["id"].clone())
}

#[tokio::test]
async fn a_new_user_follows_whoever_had_the_login_before() {
    let Some(app) = App::on_postgres().await else { return };
    let admin = app.license_admin().await;
    let person = json!({ "firstName": "Ann", "lastName": "Lee", "username": "ann.lee" });
    let first = admin.mutate("createUser", "user { id }", person.clone()).await;
    let id = Id::parse(first["user"]["id"].as_str().unwrap()).unwrap();
    let renaming = app.db.begin().await.unwrap();
    let rename = "UPDATE users SET username = 'ann', username_key = 'ann' WHERE username_key = 'ann.lee'";
    renaming.execute_unprepared(rename).await.unwrap();
    let first = user::Entity::find_by_id(id).one(&renaming).await.unwrap().unwrap();
    let event = Entry::new(AuditAction::UserUpdated, &first);
    let (subjects, second) = create_during(&app, &admin, renaming, event, person).await;
    assert_eq!(subjects, [json!(id.0), second]);
}

#[tokio::test]
async fn a_new_user_follows_changes_of_the_institution_and_the_license() {
    let Some(app) = App::on_postgres().await else { return };
    let admin = app.license_admin().await;
    let site = json!({ "name": "House", "kind": "HOSPITAL", "country": "AU" });
    let site = admin.mutate("createInstitution", "institution { id }", site).await["institution"]["id"].clone();
    let person = |name: &str| json!({ "firstName": name, "lastName": "Lee", "username": name, "institutionId": site });

    let changing = app.db.begin().await.unwrap();
    let id = Id::parse(site.as_str().unwrap()).unwrap();
    let institution = institution::Entity::find_by_id(id).lock_exclusive().one(&changing).await.unwrap().unwrap();
    let event = Entry::new(AuditAction::InstitutionUpdated, &institution);
    let (subjects, user) = create_during(&app, &admin, changing, event, person("ann")).await;
    assert_eq!(subjects, [site.clone(), user]);

    let changing = app.db.begin().await.unwrap();
    let license = stored_license::Entity::find_by_id(app.license);
    let license = license.lock_exclusive().one(&changing).await.unwrap().unwrap();
    let event = Entry::new(AuditAction::LicenseRenamed, &license);
    let (subjects, user) = create_during(&app, &admin, changing, event, person("bob")).await;
    assert_eq!(subjects, [json!(app.license.0), user]);
}

#[tokio::test]
async fn an_event_is_found_right_after_its_write() {
    let Some(app) = App::on_postgres().await else { return };
    let license_admin = app.license_admin().await;
    app.seal().await;
    let before = sealed(&app.db).await;
    license_admin.mutate("createGroup", "", json!({ "name": "Ward" })).await;
    let waiting = unsealed(&app.db).await;
    assert_eq!(waiting.iter().map(|event| event.action).collect::<Vec<_>>(), [AuditAction::GroupCreated]);
    assert_eq!(sealed(&app.db).await, before, "the write does not append to the chain");
    let newest = "{ auditEvents(first: 1) { nodes { id action } } }";
    let shown = license_admin.data(newest, json!({})).await;
    assert_eq!(shown["auditEvents"]["nodes"], json!([{ "id": waiting[0].id.0, "action": "GROUP_CREATED" }]));
    assert!(unsealed(&app.db).await.is_empty());
    assert_eq!(sealed(&app.db).await, before + 1);
    assert_intact(&app).await;
}

#[tokio::test]
async fn many_events_are_sealed_by_as_many_statements_as_one() {
    let Some(app) = App::on_postgres().await else { return };
    let user = app.create("Ann", app.license, UserFields::default(), Undefined).await;
    app.seal().await;
    let mut costs = Vec::new();
    for count in [1, 64] {
        add_events(&app.db, &user, count).await;
        let before = app.db.statements();
        app.seal().await;
        costs.push(app.db.statements() - before);
    }
    assert_eq!(costs[0], costs[1]);
    assert_intact(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_seal_at_once_and_each_event_once() {
    let Some(app) = App::on_postgres().await else { return };
    let other = another_handle(&app).await;
    // More than two batches.
    let users: Vec<user::Model> = (0..2_300).map(|n| crowd::model(app.license, "Ann", &format!("Moss {n}"))).collect();
    app.seal().await;
    let before = sealed(&app.db).await;
    crowd::record(&app, &users).await;
    let committed: Vec<Id> = unsealed(&app.db).await.into_iter().map(|event| event.id).collect();
    assert_eq!(committed.len(), users.len());
    let tasks = (0..8).map(|n| {
        let db = if n % 2 == 0 { app.db.clone() } else { other.clone() };
        let if_locked = if n % 4 < 2 { IfLocked::Wait } else { IfLocked::Return };
        tokio::spawn(async move { sealer::seal(&db, if_locked).await.unwrap().events })
    });
    let counts = join_all(tasks.collect::<Vec<_>>()).await;
    assert_eq!(counts.into_iter().map(Result::unwrap).sum::<u64>(), users.len() as u64);
    assert!(unsealed(&app.db).await.is_empty());
    let events = trail(&app.db).await;
    assert!(events.iter().skip(usize::try_from(before).unwrap()).map(|event| event.id).eq(committed), "in their order");
    assert_intact(&app).await;
    other.close().await.unwrap();
}

/// Updates one group from several tasks, each on one of two instances that seal meanwhile. Every update waits for the one
/// before, because it locks the group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_writes_are_sealed_in_the_order_of_their_commits() {
    const WRITERS: usize = 8;
    const WRITES: usize = 8;
    let Some(app) = App::on_postgres().await else { return };
    let other = another_handle(&app).await;
    let fields = || UserFields { role: Given(Role::LicenseAdmin), ..UserFields::default() };
    let users = join_all((0..WRITERS).map(|_| app.create("Writer", app.license, fields(), Undefined))).await;
    let group = app.license_admin().await.mutate("createGroup", "group { id }", json!({ "name": "Start" })).await;
    let group = group["group"]["id"].as_str().unwrap().to_owned();
    let (stop, stopped) = watch::channel(false);
    let sealers: Vec<_> = [&app.db, &other]
        .map(|db| tokio::spawn(sealer::run(db.clone(), SealerMetrics::default(), stopped.clone())))
        .into_iter()
        .collect();
    let tasks = users.into_iter().enumerate().map(|(n, user)| {
        let (db, group) = (if n % 2 == 0 { app.db.clone() } else { other.clone() }, group.clone());
        tokio::spawn(async move {
            let opened = roster::session::start(&db, LIFETIME, &Client::default(), &user).await.unwrap();
            let viewer = Viewer::SignedIn(SignedIn::new(&(&user).into(), AuthMethod::Session(opened.id), None));
            for m in 0..WRITES {
                let fields = GroupFields { name: Given(format!("Own {n}.{m}")), ..GroupFields::default() };
                roster::group::create(&db, &viewer, fields).await.unwrap();
                let input = UpdateGroupInput {
                    id: group.clone().into(),
                    expected_version: None,
                    name: Given(format!("Name {n}.{m}")),
                    description: Undefined,
                    external_references: Undefined,
                    dry_run: false,
                };
                roster::group::update(&db, &viewer, input).await.unwrap();
            }
        })
    });
    let done = join_all(tasks.collect::<Vec<_>>()).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    stop.send_replace(true);
    assert!(join_all(sealers).await.iter().all(Result::is_ok));
    assert!(unsealed(&app.db).await.is_empty(), "the sealers seal what is committed before they end");
    let events = trail(&app.db).await;
    let ids: BTreeSet<Id> = events.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), events.len());
    let updates: Vec<Vec<Value>> = events
        .iter()
        .filter(|event| event.action == AuditAction::GroupUpdated)
        .map(|event| serde_json::from_str(event.changes.as_deref().unwrap()).unwrap())
        .collect();
    assert_eq!(updates.len(), WRITERS * WRITES);
    let mut name = json!("Start");
    for changes in updates {
        let change = changes.iter().find(|change| change["field"] == "name").unwrap();
        assert_eq!(change["before"], name, "an update comes before the one that it waited for");
        name = change["after"].clone();
    }
    assert_intact(&app).await;
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_a_crash_left_behind_are_sealed_by_the_next_process() {
    let Some(sandbox) = Sandbox::on_postgres().await else { return };
    let sandbox = sandbox.with_admin().await;
    let db = sandbox.db().await;
    assert!(unsealed(&db).await.is_empty(), "a command seals what it wrote");
    // As if the process had ended right after the commit.
    let license = license::create_first(&db, Id::new(), "9", "Nine").await.unwrap();
    assert_eq!(unsealed(&db).await.len(), 1);
    let before = sealed(&db).await;
    let server = sandbox.serve(&[]).await;
    until(|| async { unsealed(&db).await.is_empty().then_some(()) }).await.expect("the server seals the event");
    assert_eq!(sealed(&db).await, before + 1);
    let last = trail(&db).await.pop().unwrap();
    assert_eq!((last.action, last.subject_id), (AuditAction::LicenseCreated, license.id));
    assert!(!server.err().contains("ERROR"), "{}", server.err());
    assert!(verify(&db).await.unwrap().errors.is_empty());
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_waits_until_what_it_wrote_is_sealed() {
    const WAITING: &str = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let Some(sandbox) = Sandbox::on_postgres().await else { return };
    let sandbox = sandbox.with_admin().await;
    let db = sandbox.db().await;
    // Another process that seals, for long.
    let other = db.begin().await.unwrap();
    for sql in ["SET LOCAL idle_in_transaction_session_timeout = 0", "SELECT pg_advisory_xact_lock(7305804404)"] {
        other.execute_unprepared(sql).await.unwrap();
    }
    let mut command =
        sandbox.start(&mut sandbox.command(&["license", "create", "--number", "9", "--holder", "Nine"]), "");
    let is_waiting = async || text(&db, &format!("SELECT count(*)::text {WAITING}")).await != "0";
    let waits = until(|| async { is_waiting().await.then_some(()) });
    waits.await.unwrap_or_else(|| panic!("{}", command.err()));
    // As when the database refuses to wait any longer.
    text(&db, &format!("SELECT count(pg_cancel_backend(pid))::text {WAITING}")).await;
    until(|| async { (!is_waiting().await).then_some(()) }).await.unwrap();
    let waits_again = until(|| async { is_waiting().await.then_some(()) });
    waits_again.await.unwrap_or_else(|| panic!("{}", command.err()));
    assert!(!command.has_ended());
    other.rollback().await.unwrap();
    assert_eq!(command.code().await, 0, "{}", command.err());
    assert!(unsealed(&db).await.is_empty());
    assert_eq!(trail(&db).await.pop().unwrap().action, AuditAction::LicenseCreated);
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_events_of_a_server_are_sealed_when_it_stops() {
    let Some(sandbox) = Sandbox::on_postgres().await else { return };
    let sandbox = sandbox.with_admin().await;
    let db = sandbox.db().await;
    let mut server = sandbox.serve(&[]).await;
    server.sign_in(crate::process::ADMIN).await;
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
    assert!(unsealed(&db).await.is_empty());
    assert_eq!(trail(&db).await.pop().unwrap().action, AuditAction::SignedIn);
    db.close().await.unwrap();
}

/// The content of an event as an earlier version hashed it, in serialization order.
#[derive(Serialize)]
struct HashedContent<'a> {
    version: u8,
    seq: i64,
    id: Id,
    license_id: Id,
    at: i64,
    action: &'static str,
    actor_id: Option<Id>,
    api_key_id: Option<Id>,
    subject_type: &'static str,
    subject_id: Id,
    request_id: Option<&'a str>,
    changes_hash: Option<&'a [u8]>,
    previous: &'a [u8],
}

/// Locks the end of the chain, as an earlier version does; returns the event that follows.
async fn event_of_an_earlier_version(transaction: &impl ConnectionTrait) -> audit_event::Model {
    let head = "SELECT seq, hash FROM audit_head FOR UPDATE";
    let head = Statement::from_string(DatabaseBackend::Postgres, head);
    let head = transaction.query_one_raw(head).await.unwrap().unwrap();
    let mut event = audit_event::Model {
        seq: head.try_get::<i64>("", "seq").unwrap() + 1,
        at: now(),
        action: AuditAction::LicenseExtended,
        subject_type: SubjectType::License,
        previous: head.try_get("", "hash").unwrap(),
        ..audit_event::Model::empty(Id::new())
    };
    let content = HashedContent {
        version: 1,
        seq: event.seq,
        id: event.id,
        license_id: event.license_id,
        at: event.at.timestamp_micros(),
        action: "LICENSE_EXTENDED",
        actor_id: None,
        api_key_id: None,
        subject_type: "LICENSE",
        subject_id: event.subject_id,
        request_id: None,
        changes_hash: None,
        previous: &event.previous,
    };
    event.hash = Sha256::digest(serde_json::to_vec(&content).unwrap()).to_vec();
    event
}

async fn insert_event(connection: &impl ConnectionTrait, event: audit_event::Model) {
    event.into_active_model().reset_all().insert(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_version_may_append_while_events_are_sealed() {
    let Some(app) = App::on_postgres().await else { return };
    let user = app.create("Ann", app.license, UserFields::default(), Undefined).await;
    app.seal().await;
    let before = sealed(&app.db).await;
    add_events(&app.db, &user, 3).await;
    let transaction = app.db.begin().await.unwrap();
    let appended = event_of_an_earlier_version(&transaction).await;
    let db = app.db.clone();
    let sealing = tokio::spawn(async move { sealer::seal(&db, IfLocked::Wait).await.unwrap().events });
    // The sealer waits for the head.
    until_waiting(&app.db, 1).await;
    let (id, seq) = (appended.id, appended.seq);
    insert_event(&transaction, appended).await;
    transaction.commit().await.unwrap();
    assert_eq!(sealing.await.unwrap(), 3);
    let events = trail(&app.db).await;
    assert_eq!(events.len() as u64, before + 4);
    assert_eq!(events.iter().position(|event| event.id == id), usize::try_from(seq - 1).ok());
    assert_eq!(seq, i64::try_from(before).unwrap() + 1);
    assert_intact(&app).await;
}

/// The number of migrations before there was an inbox.
const STEPS_BEFORE_INBOX: u32 = 13;

#[tokio::test]
async fn the_chain_of_an_earlier_version_is_continued() {
    let Some(server) = postgres::server() else { return };
    let settings = DatabaseSettings::new(server.fresh_database().await, 2);
    let db = Db::connect(&settings).await.unwrap();
    let transaction = db.begin().await.unwrap();
    Migrator::up(&transaction, Some(STEPS_BEFORE_INBOX)).await.unwrap();
    for _ in 0..3 {
        let event = event_of_an_earlier_version(&transaction).await;
        insert_event(&transaction, event).await;
    }
    transaction.commit().await.unwrap();
    db.close().await.unwrap();

    let db = Db::open(&settings).await.unwrap();
    license::create_first(&db, Id::new(), "1", "Alder").await.unwrap();
    let events = trail(&db).await;
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let report = verify(&db).await.unwrap();
    assert!(report.errors.is_empty() && report.events == 4, "{:?}", report.errors);
    db.close().await.unwrap();
}

#[tokio::test]
async fn events_of_an_erased_user_are_sealed_without_their_values() {
    let Some(app) = App::on_postgres().await else { return };
    let license_admin = app.license_admin().await;
    let input = json!({ "firstName": "Zephyrinella", "lastName": "Quartermainly", "username": "zephq77", "nickname": "Zephylein" });
    let created = license_admin.mutate("createUser", "user { id }", input).await;
    let id = Id::parse(created["user"]["id"].as_str().unwrap()).unwrap();
    let user = user::Entity::find_by_id(id).one(app.db.read()).await.unwrap().unwrap();
    license_admin.mutate("updateUser", "", json!({ "id": id.0, "nickname": "Zephyrchen" })).await;
    assert!(unsealed(&app.db).await.iter().any(|event| event.subject_id == id && event.changes.is_some()));
    let erased = license_admin.mutate("deleteUser", "", json!({ "id": id.0 })).await;
    assert_eq!(erased["success"], json!(true), "{erased:#}");
    assert!(unsealed(&app.db).await.iter().all(|event| event.subject_id != id || event.changes.is_none()));
    // Written without a lock on the user, and committed after the erasure.
    let late = Entry::new(AuditAction::MailFailed, &user).with([Change::of(
        "reason",
        None,
        Some(json!("zephq77 is unknown")),
    )]);
    audit::commit(app.db.begin().await.unwrap(), [late]).await.unwrap();
    let text = raw(&app.db).await;
    for value in ["Zephyrinella", "Quartermainly", "zephq77", "Zephylein", "Zephyrchen"] {
        assert!(!text.contains(value), "{value}");
    }
    assert!(unsealed(&app.db).await.is_empty());
    let of_user: Vec<_> = trail(&app.db).await.into_iter().filter(|event| event.subject_id == id).collect();
    let actions =
        [AuditAction::UserCreated, AuditAction::UserUpdated, AuditAction::UserDeleted, AuditAction::MailFailed];
    assert_eq!(of_user.iter().map(|event| event.action).collect::<Vec<_>>(), actions);
    assert!(of_user.iter().all(|event| event.changes.is_none() && event.salt.is_none()));
    assert!(of_user[3].changes_hash.is_some());
    assert_intact(&app).await;
}

#[tokio::test]
async fn the_database_refuses_to_change_or_delete_unsealed_events() {
    let Some(app) = App::on_postgres().await else { return };
    app.license_admin().await.mutate("createGroup", "", json!({ "name": "Ward" })).await;
    let before = unsealed(&app.db).await;
    assert!(!before.is_empty());
    let columns = Column::iter().filter(|column| !matches!(column, Column::Number));
    let mut attempts: Vec<String> =
        columns.map(|column| format!("UPDATE audit_inbox SET {0} = {0}", column.as_str())).collect();
    attempts.extend(
        ["DELETE FROM audit_inbox", "DELETE FROM audit_inbox WHERE number = (SELECT max(number) FROM audit_inbox)"]
            .map(str::to_owned),
    );
    attempts.extend(["TRUNCATE audit_inbox", "UPDATE audit_inbox SET number = DEFAULT"].map(str::to_owned));
    for attempt in attempts {
        let error = app.db.write().execute_unprepared(&attempt).await.expect_err(&attempt).to_string();
        assert!(error.contains("audit_inbox is append-only"), "{attempt}: {error}");
        assert_eq!(unsealed(&app.db).await, before, "{attempt}");
    }
    for attempt in ["UPDATE audit_inbox SET number = number", "UPDATE audit_inbox SET number = 7"] {
        app.db.write().execute_unprepared(attempt).await.expect_err(attempt);
    }
    assert_intact(&app).await;
}

/// Adds an event that has a value in every column, the only one in the inbox.
async fn with_full_event(app: &App) -> audit_inbox::Model {
    let (license_admin, user) = (app.license_admin().await, app.user().await);
    let (_, program) = new_key(&license_admin, "LICENSE_ADMIN").await;
    app.seal().await;
    let input = json!({ "id": user.id(), "nickname": "Nick", "birthDate": "1980-07-08" });
    assert_eq!(program.mutate("updateUser", "", input).await["success"], json!(true));
    let mut events = unsealed(&app.db).await;
    let full = events.pop().unwrap();
    assert!(events.is_empty() && full.actor_id.is_some() && full.api_key_id.is_some(), "{full:?}");
    assert!(full.request_id.is_some() && full.changes.is_some() && full.salt.is_some(), "{full:?}");
    full
}

#[tokio::test]
async fn verification_finds_any_single_change_of_an_unsealed_event() {
    let Some(app) = App::on_postgres().await else { return };
    let full = with_full_event(&app).await;
    sql(&app, "DROP TRIGGER audit_inbox_update ON audit_inbox").await;
    let before = sealed(&app.db).await;
    let set = async |column: Column, value: SimpleExpr| {
        let update = audit_inbox::Entity::update_many().col_expr(column, value);
        let updated = update.filter(Column::Number.eq(full.number)).exec(app.db.write()).await.unwrap();
        assert_eq!(updated.rows_affected, 1);
    };
    let is_found = async |what: &str| {
        let report = verified(&app).await;
        let named = format!("unsealed event {}: ", full.number);
        assert!(report.error_count == 1 && report.errors[0].message.starts_with(&named), "{what}: {:?}", report.errors);
        assert_eq!((sealed(&app.db).await, unsealed_count(&app.db).await), (before, 1), "{what} must not be sealed");
    };
    for column in Column::iter().filter(|column| !matches!(column, Column::Number)) {
        for value in other_values(column, &full.get(column)) {
            let what = format!("{column:?} = {value:?}");
            set(column, value).await;
            is_found(&what).await;
            set(column, Expr::val(full.get(column))).await;
        }
    }
    set(Column::Changes, Expr::value(None::<String>)).await;
    set(Column::Salt, Expr::value(None::<Vec<u8>>)).await;
    is_found("changes without their salt").await;
    set(Column::Changes, Expr::val(full.get(Column::Changes))).await;
    set(Column::Salt, Expr::val(full.get(Column::Salt))).await;
    assert_eq!(unsealed(&app.db).await, [full]);
    assert_intact(&app).await;
    assert_eq!(sealed(&app.db).await, before + 1);
}

#[tokio::test]
async fn an_invalid_event_does_not_keep_others_from_being_sealed() {
    let Some(app) = App::on_postgres().await else { return };
    let full = with_full_event(&app).await;
    app.seal().await;
    let columns: Vec<&str> =
        Column::iter().filter(|column| !matches!(column, Column::Number)).map(|column| column.as_str()).collect();
    let columns = columns.join(", ");
    // A copy of a sealed event, an event that is written twice, and one that is none.
    let insert = |values: &str| format!("INSERT INTO audit_inbox ({columns}) SELECT {values}");
    let sealed_columns = columns.replace("content_hash", "hash");
    sql(&app, &format!("{} FROM audit_events WHERE id = '{}'", insert(&sealed_columns), full.id.0)).await;
    app.license_admin().await.mutate("createGroup", "", json!({ "name": "Ward" })).await;
    let newest = unsealed(&app.db).await.pop().unwrap();
    sql(&app, &format!("{} FROM audit_inbox WHERE number = {}", insert(&columns), newest.number)).await;
    let nonsense = columns.replace("action", "'NONSENSE'");
    sql(&app, &format!("{} FROM audit_inbox WHERE number = {}", insert(&nonsense), newest.number)).await;
    let result = sealer::seal(&app.db, IfLocked::Wait).await.unwrap();
    assert_eq!(result.rejected.len(), 3, "{:?}", result.rejected);
    assert_eq!(unsealed_count(&app.db).await, 3);
    // A commit would wake the sealer again, for ever.
    let commits = *app.db.committed().borrow();
    let again = sealer::seal(&app.db, IfLocked::Return).await.unwrap();
    assert_eq!((again.events, again.rejected.len()), (0, 3));
    assert_eq!(*app.db.committed().borrow(), commits);
    let events = trail(&app.db).await;
    assert_eq!(events.last().unwrap().id, newest.id);
    assert_eq!(events.iter().filter(|event| event.id == full.id).count(), 1);
    let report = verified(&app).await;
    assert_eq!((report.error_count, report.events), (3, events.len() as u64));
    assert!(report.errors.iter().all(|error| error.message.starts_with("unsealed event ")), "{:?}", report.errors);
    // What is in the chain already may be deleted.
    sql(&app, "DELETE FROM audit_inbox WHERE id IN (SELECT id FROM audit_events)").await;
    assert_intact(&app).await;
}
