//! Replacing the server key while servers run.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use roster::auth::password::mark_of;
use roster::auth::server_key::{HeldKeys, Key};
use roster::entity::audit_event::{self, AuditAction};
use roster::entity::other_server_key;
use roster::entity::{credential, pin};
use roster::scalar::now;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use serde_json::{Value, json};

use crate::app::PASSWORD;
use crate::process::{ADMIN, Caller, CommandOutput, Process, Sandbox, until};

const FILE: &str = "roster-data/roster.key";
const CREATE: &str =
    "mutation ($input: CreateUserInput!) { createUser(input: $input) { success errors { message } user { id } } }";
const ACTIVATE: &str =
    "mutation ($input: ActivateAccountInput!) { activateAccount(input: $input) { success errors { code message } } }";
/// The number of sign-ins of each client before the rotation begins, and after it ended.
const SIGN_INS: usize = 5;

fn keys(sandbox: &Sandbox, file: &str) -> Vec<Key> {
    HeldKeys::parse(&fs::read_to_string(sandbox.path(file)).unwrap()).unwrap().all().cloned().collect()
}

async fn rotate(sandbox: &Sandbox) {
    let rotated = sandbox.run(&["key", "rotate"]).await;
    assert_eq!((rotated.code, rotated.err.as_str()), (0, ""), "{rotated:?}");
}

/// Waits until a server makes new hashes with a key.
async fn wait_for_key(server: &Process, key: &Key) {
    server.wait_for_log(&format!("current=\"{}\"", key.fingerprint_text())).await;
}

async fn create_user(root: &Caller, name: &str, password: Option<&str>) -> String {
    let email = format!("{name}@example.org");
    let mut input = json!({ "firstName": "Ann", "lastName": name, "email": email });
    if let Some(password) = password {
        input["password"] = json!(password);
    }
    let created = root.data(CREATE, json!({ "input": input })).await;
    assert_eq!(created["createUser"]["success"], json!(true), "{created:#}");
    created["createUser"]["user"]["id"].as_str().unwrap().to_owned()
}

/// Makes the rotation so old that no client has anything from before.
async fn age_rotation(sandbox: &Sandbox) {
    let db = sandbox.db().await;
    other_server_key::Entity::update_many()
        .col_expr(other_server_key::Column::Since, Expr::value(now() - TimeDelta::days(31)))
        .exec(db.write())
        .await
        .unwrap();
}

/// Signs in again and again until it is told to stop.
async fn sign_in_often(address: Arc<Process>, count: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Acquire) {
        let login = address.login(ADMIN, PASSWORD).await;
        assert_eq!(login["success"], json!(true), "{login:#}");
        count.fetch_add(1, Ordering::AcqRel);
    }
}

async fn more_sign_ins(counts: &[Arc<AtomicUsize>]) {
    for count in counts {
        let enough = count.load(Ordering::Acquire) + SIGN_INS;
        until(|| async { (count.load(Ordering::Acquire) >= enough).then_some(()) }).await.expect("enough sign-ins");
    }
}

/// The token of the link in the only email of the server.
async fn mailed_token(sandbox: &Sandbox) -> String {
    let dir = sandbox.path("roster-data/mail");
    let find = || async {
        let mut files = fs::read_dir(&dir).ok()?.map(|file| file.unwrap().path());
        let file = files.find(|file| file.extension().is_some_and(|extension| extension == "eml"))?;
        let text = fs::read_to_string(file).ok()?.replace("=\r\n", "").replace("=\n", "");
        let rest = text.split_once("#rol_")?.1;
        let is_of_token = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        Some("rol_".to_owned() + &rest.chars().take_while(is_of_token).collect::<String>())
    };
    until(find).await.expect("an email with a link")
}

async fn activate(server: &Process, token: &str) -> Value {
    let input = json!({ "token": token, "password": "nine-slate-herons-tango" });
    server.caller(None).data(ACTIVATE, json!({ "input": input })).await["activateAccount"].clone()
}

fn line_of_doctor(doctor: &CommandOutput, text: &str) -> bool {
    doctor.out.lines().any(|line| line.contains(text))
}

in_every_sandbox! {
    async fn nobody_fails_to_sign_in_while_the_key_is_rotated(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let servers = [Arc::new(sandbox.serve(&[]).await), Arc::new(sandbox.serve(&[]).await)];
        let stop = Arc::new(AtomicBool::new(false));
        let counts = [Arc::<AtomicUsize>::default(), Arc::default()];
        let clients: Vec<_> = servers.iter().zip(&counts).map(|(server, count)| {
            tokio::spawn(sign_in_often(Arc::clone(server), Arc::clone(count), Arc::clone(&stop)))
        }).collect();
        more_sign_ins(&counts).await;
        let rotated = sandbox.run(&["key", "rotate"]).await;
        assert!(rotated.code == 0 && rotated.out.contains("2 running servers have it"), "{rotated:?}");
        let [old, new] = keys(&sandbox, FILE).try_into().unwrap();
        for server in &servers {
            wait_for_key(server, &new).await;
        }
        more_sign_ins(&counts).await;
        stop.store(true, Ordering::Release);
        for client in clients {
            client.await.unwrap();
        }
        let db = sandbox.db().await;
        let hash = credential::Entity::find().one(db.read()).await.unwrap().unwrap().password_hash;
        assert!(hash.contains(&mark_of(&new)) && !hash.contains(&mark_of(&old)), "a hash is made anew at sign-in");
    }

    async fn what_clients_have_from_before_a_rotation_goes_on(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        create_user(&root, "bo", Some("nine-slate-herons-waltz")).await;
        create_user(&root, "mailed", None).await;
        let mailed = mailed_token(&sandbox).await;
        let page = root.data("{ users(first: 1) { pageInfo { endCursor } position } changes { position } }", json!({})).await;
        let (cursor, position) = (page["users"]["pageInfo"]["endCursor"].clone(), page["changes"]["position"].clone());
        let start = json!({ "cursor": cursor, "position": position });
        rotate(&sandbox).await;
        wait_for_key(&server, &keys(&sandbox, FILE)[1]).await;
        let rest = "query ($cursor: String!, $position: String!) {
            users(first: 5, after: $cursor) { nodes { id } pageInfo { endCursor } } changes(after: $position) { hasMore } }";
        let page = root.data(rest, start.clone()).await;
        assert_eq!(page["users"]["nodes"].as_array().unwrap().len(), 2, "{page:#}");
        assert_eq!(activate(&server, &mailed).await["success"], json!(true));
        age_rotation(&sandbox).await;
        assert_eq!(server.login("bo@example.org", "nine-slate-herons-waltz").await["success"], json!(true));
        server.sign_in(ADMIN).await;
        let retired = sandbox.run(&["key", "retire"]).await;
        assert_eq!((retired.code, retired.err.as_str()), (0, ""), "{retired:?}");
        let is_refused = || async {
            let page = root.try_execute(rest, &start).await?;
            page.get("errors").map(|_| ())
        };
        until(is_refused).await.expect("cursors of a retired key are unknown");
    }

    async fn a_link_that_was_queued_before_a_rotation_works_when_it_is_sent_after(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let user = r#"{"user":{"firstName":"Ann","lastName":"Byron","email":"ann@example.org"}}"#;
        fs::write(sandbox.path("people.ndjson"), user).unwrap();
        assert_eq!(sandbox.run(&["import", "people.ndjson"]).await.code, 0);
        let invited = sandbox.run(&["invite", "--never-invited"]).await;
        assert!(invited.out.contains("Invited 1 user"), "{invited:?}");
        rotate(&sandbox).await;
        let doctor = sandbox.run(&["doctor"]).await;
        assert!(line_of_doctor(&doctor, "needed for 1 queued email with a link,"), "{doctor:?}");
        let server = sandbox.serve(&[]).await;
        let token = mailed_token(&sandbox).await;
        assert_eq!(activate(&server, &token).await["success"], json!(true));
    }

    async fn a_key_is_retired_when_nothing_needs_it(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let none = sandbox.run(&["key", "retire"]).await;
        assert!(none.code == 1 && none.err.contains("there is no old key"), "{none:?}");
        fs::copy(sandbox.path(FILE), sandbox.path("old.key")).unwrap();
        rotate(&sandbox).await;
        let again = sandbox.run(&["key", "rotate"]).await;
        assert!(again.code == 1 && again.err.contains("is not retired yet"), "{again:?}");
        let refused = sandbox.run(&["key", "retire"]).await;
        assert!(refused.code == 1 && refused.err.contains("1 password,") && refused.err.contains("cursors and positions"), "{refused:?}");
        let only_old = sandbox.run(&["--listen", "127.0.0.1:0", "--key-file", "old.key"]).await;
        assert!(only_old.code == 2 && only_old.err.contains("another key"), "{only_old:?}");
        age_rotation(&sandbox).await;
        let doctor = sandbox.run(&["doctor"]).await;
        assert!(line_of_doctor(&doctor, "needed for 1 password,"), "{doctor:?}");

        let server = sandbox.serve(&[]).await;
        server.sign_in(ADMIN).await;
        let doctor = sandbox.run(&["doctor"]).await;
        assert!(line_of_doctor(&doctor, "nothing needs it"), "{doctor:?}");
        let retired = sandbox.run(&["key", "retire"]).await;
        assert!(retired.code == 0 && !retired.out.contains("Lost"), "{retired:?}");
        assert_eq!(keys(&sandbox, FILE).len(), 1);
        server.sign_in(ADMIN).await;
        let doctor = sandbox.run(&["doctor", "--key-file", "old.key"]).await;
        assert!(line_of_doctor(&doctor, "does not match"), "{doctor:?}");
        let db = sandbox.db().await;
        let [old] = keys(&sandbox, "old.key").try_into().unwrap();
        let hashes = credential::Entity::find().all(db.read()).await.unwrap();
        assert!(hashes.iter().all(|row| !row.password_hash.contains(&mark_of(&old))), "an old key opens nothing");
        for action in [AuditAction::ServerKeyRotated, AuditAction::ServerKeyRetired] {
            let events = audit_event::Entity::find().filter(audit_event::Column::Action.eq(action));
            assert_eq!(events.count(db.read()).await.unwrap(), 1, "{action:?}");
        }
    }

    async fn a_leaked_key_is_retired_by_force_with_what_needs_it(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        create_user(&root, "bo", Some("nine-slate-herons-waltz")).await;
        let set_pin = "mutation { setPin(input: { pin: \"0042\" }) { success } }";
        assert_eq!(root.data(set_pin, json!({})).await["setPin"]["success"], json!(true));
        rotate(&sandbox).await;
        wait_for_key(&server, &keys(&sandbox, FILE)[1]).await;
        server.sign_in(ADMIN).await;
        let retired = sandbox.run(&["key", "retire", "--force"]).await;
        assert_eq!((retired.code, retired.err.as_str()), (0, ""), "{retired:?}");
        for lost in ["Lost: 1 password,", "Lost: 1 PIN,", "Lost: cursors and positions"] {
            assert!(retired.out.contains(lost), "{lost}: {retired:?}");
        }
        let db = sandbox.db().await;
        assert_eq!(credential::Entity::find().count(db.read()).await.unwrap(), 1);
        assert_eq!(pin::Entity::find().count(db.read()).await.unwrap(), 0);
        let viewer = root.data("{ viewer { hasPin } }", json!({})).await;
        assert_eq!(viewer["viewer"]["hasPin"], json!(false), "a session goes on");
        let login = server.login("bo@example.org", "nine-slate-herons-waltz").await;
        assert_eq!(login["errors"][0]["code"], json!("INVALID_CREDENTIALS"));
        let verified = sandbox.run(&["audit", "verify"]).await;
        assert_eq!(verified.code, 0, "{verified:?}");
    }

    async fn nothing_changes_until_every_server_has_the_next_key(sandbox: Sandbox) {
        let generated = sandbox.run(&["key", "generate"]).await;
        let (old, new) = (generated.out.trim().to_owned(), sandbox.run(&["key", "generate"]).await.out.trim().to_owned());
        let both = format!("{old},{new}");
        let with_keys = |arguments: &[&str], keys: &str, input: &str| {
            sandbox.start(sandbox.command(arguments).env("ROSTER_KEY", keys), input)
        };
        let create = ["admin", "create", "--password-stdin", "--email", ADMIN, "--first-name", "Root", "--last-name", "Alder"];
        assert_eq!(with_keys(&create, &old, PASSWORD).code().await, 0);
        let serve = ["--listen", "127.0.0.1:0"];
        let server = with_keys(&serve, &old, "");
        server.wait_for_output("Roster listens on").await;
        let mut alone = with_keys(&["key", "rotate"], &old, "");
        assert_eq!(alone.code().await, 2);
        assert!(alone.err().contains("roster key generate"), "{}", alone.err());
        let mut early = with_keys(&["key", "rotate"], &both, "");
        assert_eq!(early.code().await, 1);
        let machine = format!("process {}", server.id());
        assert!(early.err().contains("1 server does not have the next key") && early.err().contains(&machine), "{}", early.err());
        server.sign_in(ADMIN).await;
        drop(server);
        let server = with_keys(&serve, &both, "");
        server.wait_for_output("Roster listens on").await;
        let mut rotated = with_keys(&["key", "rotate"], &both, "");
        assert_eq!(rotated.code().await, 0, "{}", rotated.err());
        wait_for_key(&server, &Key::parse(&new).unwrap()).await;
        server.sign_in(ADMIN).await;
        age_rotation(&sandbox).await;
        let mut retired = with_keys(&["key", "retire"], &both, "");
        assert_eq!(retired.code().await, 0, "{}", retired.err());
        assert!(retired.out().contains("Remove it from --key (ROSTER_KEY)"), "{}", retired.out());
        let mut doctor = with_keys(&["doctor"], &both, "");
        doctor.code().await;
        assert!(doctor.out().contains("--key (ROSTER_KEY) still has the retired key"), "{}", doctor.out());
        let mut unused = with_keys(&["key", "rotate"], &both, "");
        assert_eq!(unused.code().await, 2, "a retired key does not become the next one");
    }

    async fn a_key_that_is_gone_from_the_file_does_not_become_the_current_one(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let before = fs::read(sandbox.path(FILE)).unwrap();
        let mut rotation = sandbox.start(&mut sandbox.command(&["key", "rotate"]), "");
        rotation.wait_for_output("Asking the running servers").await;
        fs::write(sandbox.path(FILE), before).unwrap();
        assert_eq!(rotation.code().await, 1);
        assert!(rotation.err().contains("the next key is no longer in"), "{}", rotation.err());
        sandbox.serve(&[]).await.sign_in(ADMIN).await;
    }

    async fn the_demo_prints_a_password_that_works_after_a_rotation(sandbox: Sandbox) {
        let demo = ["demo", "--users", "10"];
        drop(sandbox.serve(&demo).await);
        let rotated = sandbox.run(&["key", "rotate", "--data-dir", "roster-demo"]).await;
        assert_eq!(rotated.code, 0, "{rotated:?}");
        let server = sandbox.serve(&demo).await;
        let out = server.out();
        let password = out.lines().find_map(|line| line.strip_prefix("They sign in with the password ")).unwrap();
        let email = out.lines().find_map(|line| line.strip_prefix("    ")?.split_once("ros_")?.1.split_once("  "));
        let (_, email) = email.unwrap();
        assert_eq!(server.login(email, password).await["success"], json!(true), "{email}");
    }
}
