//! The server key, which goes into the hashes of secrets and is stored outside the database.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use roster::entity::credential;
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::app::PASSWORD;
use crate::process::{ADMIN, CommandOutput, Process, Sandbox};

const FILE: &str = "roster-data/roster.key";
const KEY: [u8; 32] = *b"not a key that anybody else has!";

fn key() -> String {
    STANDARD.encode(KEY)
}

/// Starts a server with a key from a setting.
fn start_with_key(sandbox: &Sandbox, key: &str) -> Process {
    sandbox.start(sandbox.command(&["--listen", "127.0.0.1:0"]).env("ROSTER_KEY", key), "")
}

async fn wait_for_exit(mut process: Process) -> CommandOutput {
    let code = process.code().await;
    CommandOutput::new(code, &process)
}

fn assert_key_rejected(output: &CommandOutput, setting: &str) {
    assert_eq!((output.code, output.out.as_str()), (2, ""), "{output:?}");
    for text in [setting, "another key", "--key-file", "ROSTER_KEY_FILE", "ROSTER_KEY"] {
        assert!(output.err.contains(text), "{text}: {output:?}");
    }
}

fn is_key_of_database(doctor: &CommandOutput, what: &str) -> bool {
    doctor.out.lines().any(|line| line.starts_with("key of the database ") && line.ends_with(&format!(" {what}")))
}

/// Every file below a directory, with its content.
fn files_in(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_in(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

#[cfg(unix)]
mod modes {
    use std::process::Command;

    use super::*;
    use crate::process::{mode, set_mode, until};

    /// Every file and directory below a directory.
    fn paths_in(dir: &Path) -> Vec<std::path::PathBuf> {
        let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { [paths_in(&path), vec![path]].concat() } else { vec![path] }).collect()
    }

    /// Starts a server with a umask.
    fn start_with_umask(sandbox: &Sandbox, umask: &str) -> Process {
        let run = format!("umask {umask}; exec \"$0\" \"$@\"");
        let program = sandbox.command(&["--listen", "127.0.0.1:0"]);
        let mut command = Command::new("sh");
        command.args(["-c", &run]).arg(program.get_program()).args(program.get_args()).current_dir(sandbox.path(""));
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        sandbox.start(&mut command, "")
    }

    /// Creates a user, whose invitation email is written to a file, and waits for the file.
    async fn write_email(sandbox: &Sandbox, server: &Process, name: &str) {
        let root = server.sign_in(ADMIN).await;
        let create = format!(
            "mutation {{ createUser(input: {{ firstName: \"A\", lastName: \"B\", email: \"{name}@example.org\" }}) {{ success }} }}"
        );
        assert_eq!(root.data(&create, json!({})).await["createUser"]["success"], json!(true));
        let dir = sandbox.path("roster-data/mail");
        let has_mail = || async {
            fs::read_dir(&dir)
                .ok()?
                .find(|file| file.as_ref().unwrap().path().extension().is_some_and(|it| it == "eml"))
                .map(drop)
        };
        until(has_mail).await.expect("an email");
    }

    fn assert_private(sandbox: &Sandbox) {
        let paths = paths_in(&sandbox.path("roster-data"));
        for path in &paths {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(path), expected, "{} {:o}", path.display(), mode(path));
        }
        let names: Vec<String> =
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        let mut expected = vec!["roster.key", "mail"];
        expected.extend(if sandbox.is_sqlite() {
            &["roster.db", "roster.db-wal", "roster.db-shm", "roster.lock"][..]
        } else {
            &[]
        });
        for name in expected {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
    }

    in_every_sandbox! {
        async fn files_are_private_whatever_the_directory_mode_and_the_umask_are(sandbox: Sandbox) {
            for umask in ["000", "022", "027"] {
                let dir = sandbox.path("roster-data");
                let _ = fs::remove_dir_all(&dir);
                fs::create_dir(&dir).unwrap();
                set_mode(&dir, 0o755);
                if !sandbox.is_sqlite() && umask != "000" {
                    break; // the database is bound to the deleted key
                }
                let server = start_with_umask(&sandbox, umask);
                server.wait_for_output("Roster listens on").await;
                let admin = ["admin", "create", "--password-stdin", "--email", ADMIN, "--first-name", "Root", "--last-name", "Alder"];
                assert_eq!(sandbox.run_with(&admin, PASSWORD).await.code, 0);
                write_email(&sandbox, &server, "a").await;
                assert_private(&sandbox);
                assert_eq!(mode(&dir), 0o755, "the mode of an existing directory is kept");
                let doctor = sandbox.run(&["doctor"]).await;
                assert!(doctor.out.contains("data directory        roster-data; open to other users of this machine (mode 0755)"), "{doctor:?}");
                assert_eq!(doctor.out.matches("open to other users").count(), 1, "{doctor:?}");
            }
        }

        async fn files_open_to_others_are_made_private_with_a_warning(sandbox: Sandbox) {
            let sandbox = sandbox.with_admin().await;
            let server = sandbox.serve(&[]).await;
            write_email(&sandbox, &server, "a").await;
            // Kill the server so that the write-ahead log stays.
            server.signal("KILL");
            drop(server);
            let files: Vec<_> = paths_in(&sandbox.path("roster-data")).into_iter().filter(|path| path.is_file() && path.extension().is_none_or(|it| it != "eml")).collect();
            for (file, wide) in files.iter().zip([0o644, 0o660, 0o604, 0o640, 0o666].into_iter().cycle()) {
                set_mode(file, wide);
            }
            let server = sandbox.serve(&[]).await;
            assert_private_after_restart(&sandbox, &files, &server.err());
        }
    }

    fn assert_private_after_restart(sandbox: &Sandbox, files: &[std::path::PathBuf], log: &str) {
        assert_private(sandbox);
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy();
            assert!(
                log.lines().any(|line| line.contains("WARN") && line.contains(&format!("{name} "))),
                "{name}: {log}"
            );
        }
    }
}

in_every_sandbox! {
    async fn the_first_start_creates_a_key_that_only_its_owner_can_read(sandbox: Sandbox) {
        drop(sandbox.serve(&[]).await);
        let created = fs::read_to_string(sandbox.path(FILE)).unwrap();
        assert_eq!((created.lines().count(), STANDARD.decode(created.trim()).unwrap().len()), (1, 32));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let permitted = |name: &str| fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!((permitted(FILE), permitted("roster-data")), (0o600, 0o700));
        }
        let sandbox = sandbox.with_admin().await;
        sandbox.serve(&[]).await.sign_in(ADMIN).await;
        assert_eq!(fs::read_to_string(sandbox.path(FILE)).unwrap(), created);
        assert!(files_in(&sandbox.path("roster-data")).iter().all(|(name, _)| !name.contains(".roster-key")));
    }

    async fn whatever_creates_the_key_says_so_once(sandbox: Sandbox) {
        let notice = "Created the server key in roster-data/roster.key: keep a copy apart from the backups, because without it no password works.";
        fs::write(sandbox.path("people.ndjson"), r#"{"user":{"firstName":"A","lastName":"B","email":"a@example.org"}}"#).unwrap();
        let tried = sandbox.run(&["import", "people.ndjson", "--dry-run"]).await;
        assert!(tried.code == 0 && tried.key_notice.is_none() && !sandbox.path(FILE).exists(), "{tried:?}");
        let imported = sandbox.run(&["import", "people.ndjson"]).await;
        assert_eq!((imported.code, imported.key_notice.as_deref()), (0, Some(notice)), "{imported:?}");
        let again = sandbox.run(&["import", "people.ndjson"]).await;
        assert_eq!((again.code, again.key_notice.as_deref()), (0, None), "{again:?}");
        assert!(!sandbox.serve(&[]).await.out().contains("server key"));
        let [alone, administered, demo] = [(); 3].map(|()| Sandbox::on_sqlite());
        let server = alone.serve(&[]).await;
        assert_eq!(server.out().lines().next(), Some(notice), "{}", server.out());
        let create = ["admin", "create", "--email", ADMIN, "--first-name", "A", "--last-name", "B"];
        let created = administered.run(&create).await;
        assert_eq!((created.code, created.key_notice.as_deref()), (0, Some(notice)), "{created:?}");
        let demo = demo.serve(&["demo", "--users", "20"]).await;
        assert!(!demo.out().contains("server key"), "{}", demo.out());
    }

    async fn five_servers_that_start_at_once_share_one_key(sandbox: Sandbox) {
        let servers: Vec<Process> = (0..5).map(|_| sandbox.begin(&[])).collect();
        for server in &servers {
            server.wait_for_output("Roster listens on").await;
        }
        let created = servers.iter().filter(|server| server.out().contains("Created the server key")).count();
        assert_eq!(created, 1);
        let sandbox = sandbox.with_admin().await;
        for server in &servers {
            server.sign_in(ADMIN).await;
        }
        drop(sandbox);
    }

    async fn a_database_accepts_only_its_own_key(sandbox: Sandbox) {
        let sandbox = sandbox.with_admin().await;
        let user = r#"{"user":{"firstName":"A","lastName":"B","email":"a@example.org"}}"#;
        fs::write(sandbox.path("people.ndjson"), user).unwrap();
        let commands: [&[&str]; 4] = [
            &["serve", "--listen", "127.0.0.1:0"],
            &["demo", "--listen", "127.0.0.1:0", "--data-dir", "roster-data"],
            &["import", "people.ndjson"],
            &["admin", "create", "--email", "b@example.org", "--first-name", "A", "--last-name", "B"],
        ];
        for command in commands {
            let by_file = sandbox.run_with(&[command, &["--key-file", "other/roster.key"]].concat(), PASSWORD).await;
            assert_key_rejected(&by_file, "other/roster.key");
            let by_setting = sandbox.start(sandbox.command(command).env("ROSTER_KEY", key()), PASSWORD);
            assert_key_rejected(&wait_for_exit(by_setting).await, "--key (ROSTER_KEY)");
        }
        let doctor = wait_for_exit(sandbox.start(sandbox.command(&["doctor"]).env("ROSTER_KEY", key()), "")).await;
        assert!(doctor.code == 1 && is_key_of_database(&doctor, "does not match"), "{doctor:?}");
        assert!(!sandbox.path("other").exists());
        fs::create_dir(sandbox.path("other")).unwrap();
        fs::copy(sandbox.path(FILE), sandbox.path("other/roster.key")).unwrap();
        let server = sandbox.serve(&["--key-file", "other/roster.key"]).await;
        server.sign_in(ADMIN).await;
        drop(server);
        let own = fs::read_to_string(sandbox.path(FILE)).unwrap();
        let server = start_with_key(&sandbox, own.trim());
        server.wait_for_output("Roster listens on").await;
        server.sign_in(ADMIN).await;
    }

    async fn the_key_may_be_a_setting(sandbox: Sandbox) {
        let server = start_with_key(&sandbox, &key());
        server.wait_for_output("Roster listens on").await;
        drop(server);
        assert!(!sandbox.path(FILE).exists());
        assert_key_rejected(&sandbox.run(&["--listen", "127.0.0.1:0"]).await, FILE);
        assert!(!sandbox.path(FILE).exists(), "no key file is created for a database with a key");
            let server = start_with_key(&sandbox, &URL_SAFE_NO_PAD.encode(KEY));
        server.wait_for_output("Roster listens on").await;
        let doctor = wait_for_exit(sandbox.start(sandbox.command(&["doctor"]).env("ROSTER_KEY", key()), "")).await;
        assert!(doctor.out.contains("--key (ROSTER_KEY)") && is_key_of_database(&doctor, "matches"), "{doctor:?}");
        assert!(!doctor.out.contains(&key()), "{doctor:?}");
    }

    async fn the_key_and_other_secrets_are_in_no_file_and_no_log(sandbox: Sandbox) {
        let names = ["--first-name", "Root", "--last-name", "Alder"];
        let create = [&["admin", "create", "--password-stdin", "--log", "trace,sqlx=trace,sea_orm=trace", "--email", ADMIN][..], &names].concat();
        let created = sandbox.start(sandbox.command(&create).env("ROSTER_KEY", key()), PASSWORD);
        assert_eq!(wait_for_exit(created).await.code, 0);
        let serve = ["--listen", "127.0.0.1:0", "--log", "trace,sqlx=trace,sea_orm=trace,poem=trace"];
        let server = sandbox.start(sandbox.command(&serve).env("ROSTER_KEY", key()), "");
        server.wait_for_output("Roster listens on").await;
        let root = server.sign_in(ADMIN).await;
        assert_eq!(server.login(ADMIN, "wrong-brass-otters-waltz").await["success"], json!(false));
        let create = r#"mutation { createUser(input: { firstName: "A", lastName: "B", email: "a@example.org", password: "nine-slate-herons-tango" }) { success } }"#;
        assert_eq!(root.data(create, json!({})).await["createUser"]["success"], json!(true));
        let of_root = r#"mutation { login(input: { login: "root@alder.example.org", password: "seven-brass-otters-waltz" }) { deviceToken } createApiKey(input: { name: "A" }) { secret } }"#.replace("root@alder.example.org", ADMIN);
        let data = root.data(&of_root, json!({})).await;
        let device = data["login"]["deviceToken"].as_str().unwrap().to_owned();
        let api_key = data["createApiKey"]["secret"].as_str().unwrap().to_owned();
        let change = r#"mutation { changePassword(input: { currentPassword: "wrong-brass-otters-waltz", newPassword: "nine-slate-herons-tango" }) { success } }"#;
        assert_eq!(root.data(change, json!({})).await["changePassword"]["success"], json!(false));
        let by_key = server.caller(Some(&api_key)).data("{ viewer { id } }", json!({})).await;
        assert!(by_key["viewer"].is_object());
        let link = wait_for_exit(sandbox.start(sandbox.command(&["admin", "link", "--email", ADMIN]).env("ROSTER_KEY", key()), "")).await;
        let link = link.out.split('#').nth(1).unwrap().trim().to_owned();
        let activate = format!("mutation {{ activateAccount(input: {{ token: \"{link}\", password: \"short\" }}) {{ success }} }}");
        assert_eq!(server.caller(None).data(&activate, json!({})).await["activateAccount"]["success"], json!(false));
        let log = server.err();
        assert!(log.contains("TRACE") && log.contains("a hash is computed"), "{log}");

        let hex = hex::encode(KEY);
        let token = root.token.unwrap();
        let secrets = ["wrong-brass-otters", "nine-slate-herons", PASSWORD, &key(), &URL_SAFE_NO_PAD.encode(KEY), &hex, &token, &device, &api_key, &link];
        let secrets = secrets.map(str::as_bytes).into_iter().chain([&KEY[..]]);
        let files = files_in(&sandbox.path("."));
        assert_eq!(files.iter().any(|(name, _)| name.ends_with("roster.db-wal")), sandbox.is_sqlite());
        for secret in secrets {
            for (name, content) in &files {
                // A link is printed once, by the command that creates it.
                let is_shown = secret == link.as_bytes() && name.contains("/out-");
                let held = !is_shown && content.windows(secret.len()).any(|window| window == secret);
                assert!(!held, "{name}: {}", String::from_utf8_lossy(secret));
            }
        }
        let db = sandbox.db().await;
        for row in credential::Entity::find().all(db.read()).await.unwrap() {
            assert!(!log.contains(&row.password_hash), "a password hash is in the log");
        }
    }
}

#[tokio::test]
async fn unusable_key_files_are_reported_before_the_server_listens() {
    let sandbox = Sandbox::on_sqlite();
    fs::create_dir(sandbox.path("folder")).unwrap();
    for (name, content) in
        [("empty", ""), ("short", "c2VjcmV0"), ("text", "no key at all"), ("long", &"A".repeat(2_000))]
    {
        fs::write(sandbox.path(name), content).unwrap();
    }
    fs::write(sandbox.path("bytes"), KEY).unwrap();
    for name in ["empty", "short", "text", "long", "bytes", "folder"] {
        for command in ["serve", "demo"] {
            let failed = sandbox.run(&[command, "--listen", "127.0.0.1:0", "--key-file", name]).await;
            assert_eq!((failed.code, failed.out.as_str()), (2, ""), "{name}: {failed:?}");
            assert!(failed.err.contains(&format!("--key-file {name} (ROSTER_KEY_FILE)")), "{failed:?}");
            assert!(!failed.err.contains("c2VjcmV0") && !failed.err.contains("no key at all"), "{failed:?}");
        }
        let doctor = sandbox.run(&["doctor", "--key-file", name]).await;
        assert!(
            doctor.code == 1 && doctor.out.contains(&format!("--key-file {name} (ROSTER_KEY_FILE): ")),
            "{doctor:?}"
        );
    }
    assert!(!sandbox.path("roster-data").exists() && !sandbox.path("roster-demo").exists());
    let doctor = sandbox.run(&["doctor"]).await;
    assert!(doctor.out.contains("missing, created at the first start"), "{doctor:?}");
}

#[tokio::test]
async fn the_minimum_password_length_is_a_setting() {
    let sandbox = Sandbox::on_sqlite();
    let create = [
        "admin",
        "create",
        "--password-stdin",
        "--email",
        "a@example.org",
        "--first-name",
        "Ada",
        "--last-name",
        "Byron",
    ];
    let failed = sandbox.run_with(&create, "zyG4!wq3x").await;
    assert!(failed.code == 1 && failed.err.contains("Must be at least 12 characters."), "{failed:?}");
    let failed = sandbox.run_with(&[&create[..], &["--password-length", "10"]].concat(), "zyG4!wq3x").await;
    assert!(failed.code == 1 && failed.err.contains("Must be at least 10 characters."), "{failed:?}");
    assert_eq!(sandbox.run_with(&[&create[..], &["--password-length", "8"]].concat(), "zyG4!wq3x").await.code, 0);
}
