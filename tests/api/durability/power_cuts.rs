//! A drill: the power fails again and again while writers share commits. Nothing that was acknowledged is lost, and nothing is
//! half there.
//!
//! The server runs with `power_cut.c`, which notes what happens to the files of the database and ends the process at a random
//! operation. The test then makes files that a disk may hold: everything that was synchronized, and any part of the rest.

mod agreement;
mod disk;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use roster::scalar::Id;
use serde_json::{Value, json};

use self::agreement::{DELETED, DELETING, POSITION, find_faults};
use self::disk::{Disk, Pattern, read_files, replace_files};
use crate::app::PASSWORD;
use crate::clients::{Follower, Made, mutate};
use crate::hostile::Rng;
use crate::process::{ADMIN, Caller, Process, Sandbox, env_or, until};
use crate::programs;

/// The number of times that the power fails; `ROSTER_TEST_POWER_CUTS` overrides it.
const CUTS: usize = 5;
/// The seed of the random choices; `ROSTER_TEST_SEED` overrides it. Writers run in parallel, so that two runs differ all the same.
const SEED: usize = 20_261_130;
/// The administrators who write: the server takes only a few inputs with logins of one user at once.
const ADMINS: usize = 8;
/// Enough for several to wait for their turn to write.
const WRITERS: usize = 16;
/// The number of writes of each writer before a server is stopped.
const WRITES_BEFORE_STOP: usize = 8;

const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/durability/power_cuts/power_cut.c");
const DATA: &str = "roster-data";
const DATABASE: &str = "roster.db";
const LISTENS: &str = "Roster listens on http://";

/// Nothing survives that was not synchronized, everything does, the beginning does, most of it, or half of it.
const ANY_PART: [Pattern; 6] = [(0, 0), (8, 8), (8, 0), (8, 4), (7, 1), (4, 4)];
const NOTHING: [Pattern; 1] = [(0, 0)];

/// When the power fails.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// At an operation on any file, at most this one.
    Writing(usize),
    /// At an operation on the database file itself: while the log is moved to it.
    Checkpoint(usize),
    /// After the server was stopped.
    Stopped,
}

/// The moments, one after the other. The second follows a power cut, the fifth a start without a log.
const MOMENTS: [Moment; 5] =
    [Moment::Writing(4_000), Moment::Writing(40), Moment::Checkpoint(300), Moment::Stopped, Moment::Writing(200)];

/// What a disk does with what was not synchronized.
#[derive(Clone, Copy)]
struct DiskKind {
    patterns: &'static [Pattern],
    /// Whether it only pretends to synchronize.
    lies: bool,
}

const HONEST: DiskKind = DiskKind { patterns: &ANY_PART, lies: false };
const LYING: DiskKind = DiskKind { patterns: &NOTHING, lies: true };

/// A mutation, the field with its object, the kind of its change, and its input.
type Write = (&'static str, &'static str, &'static str, Value);

/// The write of a turn, in which the user of the turns before may be changed.
fn next_write(turn: usize, user: &str, has_password: bool) -> Write {
    let unique = format!("{}@example.org", Id::new().0);
    match turn % 6 {
        0 => {
            let mut input = json!({ "firstName": "Ann", "lastName": "Writer", "email": unique });
            if has_password {
                input["password"] = PASSWORD.into();
            }
            ("createUser", "user", "CREATED", input)
        }
        1 => ("updateUser", "user", "UPDATED", json!({ "id": user, "position": POSITION })),
        2 => ("setActive", "user", "DEACTIVATED", json!({ "id": user, "active": false })),
        // Administrators own the groups they create, and a user belongs to at most 200 groups.
        3 if turn % 12 == 3 => ("createGroup", "group", "CREATED", json!({ "name": unique })),
        _ => {
            let input = json!({ "name": unique, "kind": "HOSPITAL", "country": "AU" });
            ("createInstitution", "institution", "CREATED", input)
        }
    }
}

/// Deletes a user. None if there is no response.
async fn delete(caller: &Caller, user: &str) -> Option<()> {
    const DELETE: &str = "mutation ($input: DeleteUserInput!) { deleteUser(input: $input) { success } }";
    let response = caller.try_execute(DELETE, &json!({ "input": { "id": user } })).await?;
    assert_eq!(response["data"]["deleteUser"]["success"], json!(true), "{response:#}");
    Some(())
}

/// Writes until the server is gone, or enough is written.
async fn write(caller: Caller, has_password: bool, enough: usize) -> Vec<Made> {
    let (mut made, mut user) = (Vec::new(), String::new());
    for turn in 0..enough {
        if turn % 12 == 11 {
            made.push((DELETING.to_owned(), user.clone()));
            if delete(&caller, &user).await.is_none() {
                break;
            }
            made.push((DELETED.to_owned(), user.clone()));
            continue;
        }
        let (mutation, object, kind, input) = next_write(turn, &user, has_password);
        let Some(id) = mutate(&caller, mutation, object, &input).await else { break };
        if mutation == "createUser" {
            user.clone_from(&id);
        }
        made.push((kind.to_owned(), id));
    }
    made
}

/// A directory whose server loses its power.
struct Drill {
    sandbox: Sandbox,
    shim: PathBuf,
    follower: Follower,
    tokens: Vec<String>,
    rng: Rng,
    made: Vec<Made>,
    /// The number of times that the write-ahead log was synchronized.
    commits: usize,
    /// The number of power cuts in which the disk lost something.
    losses: usize,
}

impl Drill {
    /// Creates the administrators who write. Their tokens and all before is durable.
    async fn start() -> Self {
        let sandbox = Sandbox::on_sqlite().with_admin().await;
        let shim = sandbox.path("power_cut.so");
        let mut cc = Command::new("cc");
        cc.args(["-U_FORTIFY_SOURCE", "-shared", "-fPIC", "-pthread", "-o"]);
        assert!(cc.arg(&shim).arg(SHIM).status().unwrap().success());
        let mut server = sandbox.serve(&[]).await;
        let root = server.sign_in(ADMIN).await;
        let follower = Follower::new(&server, &root).await;
        let mut tokens = Vec::new();
        for number in 0..ADMINS {
            let email = format!("admin{number}@example.org");
            let input = json!({
                "firstName": "Ann", "lastName": "Admin", "email": email, "role": "LICENSE_ADMIN", "password": PASSWORD,
            });
            mutate(&root, "createUser", "user", &input).await.expect("a response");
            tokens.extend(server.sign_in(&email).await.token);
        }
        server.signal("TERM");
        assert_eq!(server.code().await, 0, "{}", server.err());
        let seed = u64::try_from(env_or("ROSTER_TEST_SEED", SEED)).unwrap();
        Self { sandbox, shim, follower, tokens, rng: Rng(seed), made: Vec::new(), commits: 0, losses: 0 }
    }

    /// Starts a server on a disk, and waits until it listens or the power has failed.
    async fn serve(&mut self, moment: Moment, kind: DiskKind) -> Process {
        let mut command = self.sandbox.command(&["--listen", "127.0.0.1:0"]);
        let data = self.sandbox.path(DATA);
        command.env("LD_PRELOAD", &self.shim).env("POWER_CUT_LOG", self.sandbox.path("record"));
        command.env("POWER_CUT_DIR", &data).env("POWER_CUT_FILES", DATABASE);
        match moment {
            Moment::Writing(last) => command.env("POWER_CUT_AT", (1 + self.rng.below(last)).to_string()),
            Moment::Checkpoint(last) => command
                .env("POWER_CUT_AT", (1 + self.rng.below(last)).to_string())
                .env("POWER_CUT_OF", data.join(DATABASE)),
            Moment::Stopped => &mut command,
        };
        if kind.lies {
            command.env("POWER_CUT_LIES", "1");
        }
        let mut server = self.sandbox.start(&mut command, "");
        let is_ready = || {
            let is_ready = server.has_ended() || server.out().contains(LISTENS);
            async move { is_ready.then_some(()) }
        };
        until(is_ready).await.expect("the server starts");
        server
    }

    /// Writes until the power fails.
    async fn lose_power(&mut self, moment: Moment, kind: DiskKind) {
        let data = self.sandbox.path(DATA);
        let mut disk = Disk::of(&data, DATABASE);
        let mut server = self.serve(moment, kind).await;
        let enough = if matches!(moment, Moment::Stopped) { WRITES_BEFORE_STOP } else { usize::MAX };
        if server.out().contains(LISTENS) {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let caller = server.caller(Some(&self.tokens[writer % ADMINS]));
                    tokio::spawn(write(caller, writer % 4 == 0, enough))
                })
                .collect();
            for writer in writers {
                self.made.extend(writer.await.unwrap());
            }
        }
        if matches!(moment, Moment::Stopped) {
            server.signal("TERM");
        }
        let expected = matches!(moment, Moment::Stopped).then_some(0);
        assert_eq!(server.status().await.code(), expected, "{moment:?}\n{}", server.err());
        assert!(!server.err().contains("ERROR"), "{}", server.err());

        let record = self.sandbox.path("record");
        disk.replay(&fs::read(&record).unwrap());
        fs::remove_file(record).unwrap();
        let cached = disk.cached();
        assert!(cached == read_files(&data, DATABASE), "the record explains the files");
        self.commits += disk.synchronized.get("roster.db-wal").copied().unwrap_or_default();
        let survivors = disk.survivors(kind.patterns, &mut self.rng);
        self.losses += usize::from(survivors != cached);
        replace_files(&data, DATABASE, &survivors);
    }

    /// Checks a copy of the files, so that the next server recovers from the power cut as well. Returns the copy.
    async fn find_faults(&self) -> (Sandbox, Vec<String>) {
        let copy = Sandbox::on_sqlite();
        copy_files(&self.sandbox, &copy);
        let faults = find_faults(&copy, &self.follower, &self.made).await;
        (copy, faults)
    }
}

/// Copies the data directory of a sandbox, with its mode and those of its files.
fn copy_files(from: &Sandbox, to: &Sandbox) {
    fs::create_dir_all(to.path(DATA)).unwrap();
    fs::set_permissions(to.path(DATA), fs::metadata(from.path(DATA)).unwrap().permissions()).unwrap();
    for file in fs::read_dir(from.path(DATA)).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), to.path(DATA).join(file.file_name())).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_the_power_fails() {
    if !programs::is_installed("cc", &["--version"]) {
        return;
    }
    let cuts = env_or("ROSTER_TEST_POWER_CUTS", CUTS);
    let mut drill = Drill::start().await;
    for (cut, moment) in (0..cuts).zip(MOMENTS.into_iter().cycle()) {
        drill.lose_power(moment, HONEST).await;
        let (copy, faults) = drill.find_faults().await;
        assert_eq!(faults, [""; 0], "power cut {cut}, {moment:?}");
        if matches!(moment, Moment::Stopped) {
            // The copy was recovered and closed, so the next server creates a log.
            fs::remove_dir_all(drill.sandbox.path(DATA)).unwrap();
            copy_files(&copy, &drill.sandbox);
        }
    }
    let acknowledged = drill.made.iter().filter(|(kind, _)| kind != DELETING).count();
    println!(
        "{cuts} power cuts, {} with losses: {acknowledged} acknowledged writes, {} commits",
        drill.losses, drill.commits
    );
    assert!(drill.losses > 0, "the disk loses something");
    assert!(drill.commits < acknowledged, "{} commits of {acknowledged} writes", drill.commits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_only_pretends_to_synchronize_loses_acknowledged_writes() {
    if !programs::is_installed("cc", &["--version"]) {
        return;
    }
    let mut drill = Drill::start().await;
    drill.lose_power(Moment::Stopped, LYING).await;
    let (_, faults) = drill.find_faults().await;
    assert!(faults.iter().any(|fault| fault.starts_with("lost: CREATED")), "{faults:?}");
}
