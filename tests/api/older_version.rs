//! A drill: a program that was built from an earlier commit serves the same database as the program under test, which migrates
//! it. On PostgreSQL both serve at once, unless a contract step is pending; on SQLite, one after the other, because several
//! servers need PostgreSQL. `.ci/older` builds the earlier program and runs the drill.

mod load;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;

use roster::entity::user;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};

use self::load::{Load, Written, search};
use crate::app::PASSWORD;
use crate::clients::Follower;
use crate::process::{ADMIN, Caller, CommandOutput, Process, Sandbox, until};

/// The environment variable with the absolute path of the earlier program.
const OLDER_PROGRAM: &str = "ROSTER_TEST_OLDER_BINARY";
/// The changes of each user that is written.
const KINDS: [&str; 2] = ["CREATED", "UPDATED"];

/// The earlier program. None, with a note, if none is named.
fn older_program() -> Option<OsString> {
    let program = std::env::var_os(OLDER_PROGRAM).filter(|program| !program.is_empty());
    if program.is_none() {
        // Not with eprintln!, whose output the test harness captures.
        writeln!(std::io::stderr(), "not run: {OLDER_PROGRAM} names no program; .ci/older builds one").unwrap();
    }
    program
}

/// Runs the earlier program to its end.
async fn run_older(sandbox: &Sandbox, program: &OsStr, arguments: &[&str], input: &str) -> CommandOutput {
    let mut process = sandbox.start(&mut sandbox.command_of(program, arguments), input);
    let code = process.code().await;
    CommandOutput::new(code, &process)
}

/// Starts a server of the earlier program on a free port and waits until it prints its address.
async fn serve_older(sandbox: &Sandbox, program: &OsStr) -> Process {
    let process = sandbox.start(&mut sandbox.command_of(program, &["--listen", "127.0.0.1:0"]), "");
    process.wait_for_output("Roster listens on http://").await;
    process
}

/// Stops a server, which must have logged no error.
async fn stop(mut server: Process) {
    server.signal("TERM");
    assert_eq!(server.code().await, 0, "{}", server.err());
    assert!(!server.err().contains("ERROR"), "{}", server.err());
}

/// Whether servers of the earlier program keep working, as the program under test says before it migrates.
async fn keeps_working(sandbox: &Sandbox) -> bool {
    let check = sandbox.run(&["migrate", "--check", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&check.out).unwrap_or_else(|error| panic!("{error}: {check:?}"));
    assert_ne!(report["status"], json!("INCOMPATIBLE"), "{check:?}");
    println!("{} with {}", report["status"], report["pending"]);
    // What is pending is what the earlier program does not know.
    report["pending"].as_array().unwrap().iter().all(|step| step["name"] != report["needs"])
}

/// Waits until a server has as many changes as were acknowledged, and checks that it has each once, and those of each task in
/// their order.
async fn check_changes(follower: &Follower, server: &Process, written: &[Vec<Written>]) -> Vec<Value> {
    let expected = KINDS.len() * written.iter().map(Vec::len).sum::<usize>();
    let all = || async {
        let changes = follower.changes(server).await;
        (changes.len() >= expected).then_some(changes)
    };
    let changes = until(all).await.expect("every acknowledged change is returned");
    check_order(&changes, written);
    assert_eq!(changes.len(), expected, "no other change is returned");
    changes
}

fn check_order(changes: &[Value], written: &[Vec<Written>]) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let places: HashMap<(String, String), usize> = changes
        .iter()
        .enumerate()
        .map(|(place, change)| ((text(&change["kind"]), text(&change["nodeId"])), place))
        .collect();
    assert_eq!(places.len(), changes.len(), "each change is returned once");
    for users in written {
        let made = users.iter().flat_map(|user| KINDS.map(|kind| (kind.to_owned(), user.id.clone())));
        let found: Vec<Option<usize>> = made.map(|change| places.get(&change).copied()).collect();
        assert!(found.iter().all(Option::is_some), "an acknowledged change is not returned: {found:?}");
        assert!(found.is_sorted(), "the changes of a task are out of order: {found:?}");
    }
}

/// Checks that everything that was acknowledged is in the database, and that servers find it.
async fn check_users(sandbox: &Sandbox, callers: &[&Caller], written: &[Vec<Written>]) {
    let users = user::Entity::find().all(sandbox.db().await.read()).await.unwrap();
    let nicknames: HashMap<Option<&str>, Option<&str>> =
        users.iter().map(|user| (user.username.as_deref(), user.nickname.as_deref())).collect();
    for Written { username, id } in written.iter().flatten() {
        assert_eq!(nicknames.get(&Some(username.as_str())), Some(&Some(username.as_str())), "{username} is lost");
        for caller in callers {
            // A search finds the changes of other servers a moment later.
            let is_found = || async { (search(caller, username).await == json!(id)).then_some(()) };
            until(is_found).await.unwrap_or_else(|| panic!("{username} is not found"));
        }
    }
    let count = written.iter().map(Vec::len).sum::<usize>();
    assert_eq!(users.len(), count + 1, "with the administrator");
    println!("{count} users were written");
}

async fn verify_audit_trail(sandbox: &Sandbox) {
    let verified = sandbox.run(&["audit", "verify"]).await;
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// Both programs serve while the one under test migrates, and afterwards; then it serves alone, and beside an earlier one that
/// starts again.
async fn serve_beside(sandbox: &Sandbox, program: &OsStr) {
    let older = serve_older(sandbox, program).await;
    let root = older.sign_in(ADMIN).await;
    let follower = Follower::new(&older, &root).await;
    let mut load = Load::start("before", &root, &root);
    load.goes_on().await;
    let newer = sandbox.serve(&[]).await;
    let mut written = Load::finish([load]).await;

    let there = newer.caller(root.token.as_deref());
    let loads = [Load::start("older", &root, &there), Load::start("newer", &there, &root)];
    written.extend(Load::finish(loads).await);
    for server in [&older, &newer] {
        assert_eq!(server.status_of("/health/ready").await, 200, "{}", server.err());
    }
    let changes = check_changes(&follower, &older, &written).await;
    assert_eq!(check_changes(&follower, &newer, &written).await, changes);
    check_users(sandbox, &[&root, &there], &written).await;
    let verified = run_older(sandbox, program, &["audit", "verify"], "").await;
    assert_eq!(verified.code, 0, "{verified:?}");
    verify_audit_trail(sandbox).await;

    stop(older).await;
    let again = serve_older(sandbox, program).await;
    let here = again.caller(root.token.as_deref());
    written.extend(Load::finish([Load::start("again", &here, &there)]).await);
    stop(again).await;
    written.extend(Load::finish([Load::start("after", &there, &there)]).await);
    check_changes(&follower, &newer, &written).await;
    check_users(sandbox, &[&there], &written).await;
    stop(newer).await;
    verify_audit_trail(sandbox).await;
}

/// The programs serve one after the other. The earlier one serves once more if it keeps working, and is refused otherwise.
async fn serve_in_turn(sandbox: &Sandbox, program: &OsStr, keeps_working: bool) {
    let older = serve_older(sandbox, program).await;
    let root = older.sign_in(ADMIN).await;
    let follower = Follower::new(&older, &root).await;
    let mut written = Load::finish([Load::start("before", &root, &root)]).await;
    stop(older).await;

    let newer = sandbox.serve(&[]).await;
    let there = newer.caller(root.token.as_deref());
    written.extend(Load::finish([Load::start("newer", &there, &there)]).await);
    check_changes(&follower, &newer, &written).await;
    stop(newer).await;
    if keeps_working {
        let again = serve_older(sandbox, program).await;
        let here = again.caller(root.token.as_deref());
        written.extend(Load::finish([Load::start("again", &here, &here)]).await);
        check_changes(&follower, &again, &written).await;
        check_users(sandbox, &[&here], &written).await;
        stop(again).await;
    } else {
        let refused = run_older(sandbox, program, &["serve", "--listen", "127.0.0.1:0"], "").await;
        assert!(refused.code == 1 && refused.err.contains("newer version"), "{refused:?}");
    }

    let last = sandbox.serve(&[]).await;
    let there = last.caller(root.token.as_deref());
    written.extend(Load::finish([Load::start("after", &there, &there)]).await);
    check_changes(&follower, &last, &written).await;
    check_users(sandbox, &[&there], &written).await;
    stop(last).await;
    verify_audit_trail(sandbox).await;
}

in_every_sandbox! {
    async fn an_older_program_loses_nothing_and_fails_nowhere_beside_this_one(sandbox: Sandbox) {
        let Some(program) = older_program() else { return };
        let create = ["admin", "create", "--password-stdin", "--email", ADMIN, "--first-name", "Root", "--last-name", "Alder"];
        let created = run_older(&sandbox, &program, &create, PASSWORD).await;
        assert_eq!(created.code, 0, "{created:?}");
        let keeps_working = keeps_working(&sandbox).await;
        if keeps_working && !sandbox.is_sqlite() {
            serve_beside(&sandbox, &program).await;
        } else {
            serve_in_turn(&sandbox, &program, keeps_working).await;
        }
    }
}
