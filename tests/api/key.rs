//! The server key, which goes into the hashes of secrets and is stored outside the database.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use roster::entity::credential;
use sea_orm::EntityTrait as _;
use serde_json::json;

use crate::app::PASSWORD;
use crate::process::{ADMIN, Ended, Home, Process};

const FILE: &str = "roster-data/roster.key";
const KEY: [u8; 32] = *b"not a key that anybody else has!";

fn key() -> String {
    STANDARD.encode(KEY)
}

/// Starts a server with a key from a setting.
fn start_with_key(home: &Home, key: &str) -> Process {
    home.start(home.command(&["--listen", "127.0.0.1:0"]).env("ROSTER_KEY", key), "")
}

async fn wait_for_exit(mut process: Process) -> Ended {
    let code = process.code().await;
    Ended { code, out: process.out(), err: process.err() }
}

fn assert_key_refused(ended: &Ended, setting: &str) {
    assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
    for text in [setting, "another key", "--key-file", "ROSTER_KEY_FILE", "ROSTER_KEY"] {
        assert!(ended.err.contains(text), "{text}: {ended:?}");
    }
}

fn is_key_of_database(doctor: &Ended, what: &str) -> bool {
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
    fn start_with_umask(home: &Home, umask: &str) -> Process {
        let run = format!("umask {umask}; exec \"$0\" \"$@\"");
        let program = home.command(&["--listen", "127.0.0.1:0"]);
        let mut command = Command::new("sh");
        command.args(["-c", &run]).arg(program.get_program()).args(program.get_args()).current_dir(home.path(""));
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        home.start(&mut command, "")
    }

    /// Creates a user, whose invitation email is written to a file, and waits for the file.
    async fn write_email(home: &Home, server: &Process, name: &str) {
        let root = server.sign_in(ADMIN).await;
        let create = format!(
            "mutation {{ createUser(input: {{ firstName: \"A\", lastName: \"B\", email: \"{name}@example.org\" }}) {{ success }} }}"
        );
        assert_eq!(root.data(&create, json!({})).await["createUser"]["success"], json!(true));
        let dir = home.path("roster-data/mail");
        let has_mail = || async {
            fs::read_dir(&dir)
                .ok()?
                .find(|file| file.as_ref().unwrap().path().extension().is_some_and(|it| it == "eml"))
                .map(drop)
        };
        until(has_mail).await.expect("an email");
    }

    fn assert_private(home: &Home) {
        let paths = paths_in(&home.path("roster-data"));
        for path in &paths {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(path), expected, "{} {:o}", path.display(), mode(path));
        }
        let names: Vec<String> =
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        let mut expected = vec!["roster.key", "mail"];
        expected.extend(if home.is_sqlite() {
            &["roster.db", "roster.db-wal", "roster.db-shm", "roster.lock"][..]
        } else {
            &[]
        });
        for name in expected {
            assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
        }
    }

    in_every_home! {
        async fn files_are_private_whatever_the_directory_mode_and_the_umask_are(home: Home) {
            for umask in ["000", "022", "027"] {
                let dir = home.path("roster-data");
                let _ = fs::remove_dir_all(&dir);
                fs::create_dir(&dir).unwrap();
                set_mode(&dir, 0o755);
                if !home.is_sqlite() && umask != "000" {
                    break; // the database is bound to the deleted key
                }
                let server = start_with_umask(&home, umask);
                server.says("Roster listens on").await;
                let admin = ["admin", "create", "--password-stdin", "--email", ADMIN, "--first-name", "Root", "--last-name", "Alder"];
                assert_eq!(home.run_with(&admin, PASSWORD).await.code, 0);
                write_email(&home, &server, "a").await;
                assert_private(&home);
                assert_eq!(mode(&dir), 0o755, "the mode of an existing directory is kept");
                let doctor = home.run(&["doctor"]).await;
                assert!(doctor.out.contains("data directory        roster-data; open to other users of this machine (mode 0755)"), "{doctor:?}");
                assert_eq!(doctor.out.matches("open to other users").count(), 1, "{doctor:?}");
            }
        }

        async fn files_open_to_others_are_made_private_with_a_warning(home: Home) {
            let home = home.with_admin().await;
            let server = home.serve(&[]).await;
            write_email(&home, &server, "a").await;
            // Kill the server so that the write-ahead log stays.
            server.signal("KILL");
            drop(server);
            let files: Vec<_> = paths_in(&home.path("roster-data")).into_iter().filter(|path| path.is_file() && path.extension().is_none_or(|it| it != "eml")).collect();
            for (file, wide) in files.iter().zip([0o644, 0o660, 0o604, 0o640, 0o666].into_iter().cycle()) {
                set_mode(file, wide);
            }
            let server = home.serve(&[]).await;
            assert_private_after_restart(&home, &files, &server.err());
        }
    }

    fn assert_private_after_restart(home: &Home, files: &[std::path::PathBuf], log: &str) {
        assert_private(home);
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy();
            assert!(
                log.lines().any(|line| line.contains("WARN") && line.contains(&format!("{name} "))),
                "{name}: {log}"
            );
        }
    }
}

in_every_home! {
    async fn the_first_start_creates_a_key_that_only_its_owner_can_read(home: Home) {
        drop(home.serve(&[]).await);
        let made = fs::read_to_string(home.path(FILE)).unwrap();
        assert_eq!((made.lines().count(), STANDARD.decode(made.trim()).unwrap().len()), (1, 32));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let permitted = |name: &str| fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!((permitted(FILE), permitted("roster-data")), (0o600, 0o700));
        }
        let home = home.with_admin().await;
        home.serve(&[]).await.sign_in(ADMIN).await;
        assert_eq!(fs::read_to_string(home.path(FILE)).unwrap(), made);
        assert!(files_in(&home.path("roster-data")).iter().all(|(name, _)| !name.contains(".roster-key")));
    }

    async fn five_servers_that_start_at_once_share_one_key(home: Home) {
        let servers: Vec<Process> = (0..5).map(|_| home.begin(&[])).collect();
        for server in &servers {
            server.says("Roster listens on").await;
        }
        let home = home.with_admin().await;
        for server in &servers {
            server.sign_in(ADMIN).await;
        }
        drop(home);
    }

    async fn a_database_accepts_only_its_own_key(home: Home) {
        let home = home.with_admin().await;
        let person = r#"{"user":{"firstName":"A","lastName":"B","email":"a@example.org"}}"#;
        fs::write(home.path("people.ndjson"), person).unwrap();
        let commands: [&[&str]; 4] = [
            &["serve", "--listen", "127.0.0.1:0"],
            &["demo", "--listen", "127.0.0.1:0", "--data-dir", "roster-data"],
            &["import", "people.ndjson"],
            &["admin", "create", "--email", "b@example.org", "--first-name", "A", "--last-name", "B"],
        ];
        for command in commands {
            let by_file = home.run_with(&[command, &["--key-file", "other/roster.key"]].concat(), PASSWORD).await;
            assert_key_refused(&by_file, "other/roster.key");
            let by_setting = home.start(home.command(command).env("ROSTER_KEY", key()), PASSWORD);
            assert_key_refused(&wait_for_exit(by_setting).await, "--key (ROSTER_KEY)");
        }
        let doctor = wait_for_exit(home.start(home.command(&["doctor"]).env("ROSTER_KEY", key()), "")).await;
        assert!(doctor.code == 0 && is_key_of_database(&doctor, "does not match"), "{doctor:?}");
        assert!(!home.path("other").exists());
        fs::create_dir(home.path("other")).unwrap();
        fs::copy(home.path(FILE), home.path("other/roster.key")).unwrap();
        let server = home.serve(&["--key-file", "other/roster.key"]).await;
        server.sign_in(ADMIN).await;
        drop(server);
        let own = fs::read_to_string(home.path(FILE)).unwrap();
        let server = start_with_key(&home, own.trim());
        server.says("Roster listens on").await;
        server.sign_in(ADMIN).await;
    }

    async fn the_key_may_be_a_setting(home: Home) {
        let server = start_with_key(&home, &key());
        server.says("Roster listens on").await;
        drop(server);
        assert!(!home.path(FILE).exists());
        assert_key_refused(&home.run(&["--listen", "127.0.0.1:0"]).await, FILE);
        assert!(!home.path(FILE).exists(), "no key file is created for a database with a key");
            let server = start_with_key(&home, &URL_SAFE_NO_PAD.encode(KEY));
        server.says("Roster listens on").await;
        let doctor = wait_for_exit(home.start(home.command(&["doctor"]).env("ROSTER_KEY", key()), "")).await;
        assert!(doctor.out.contains("--key (ROSTER_KEY)") && is_key_of_database(&doctor, "matches"), "{doctor:?}");
        assert!(!doctor.out.contains(&key()), "{doctor:?}");
    }

    async fn the_key_and_other_secrets_are_in_no_file_and_no_log(home: Home) {
        let names = ["--first-name", "Root", "--last-name", "Alder"];
        let create = [&["admin", "create", "--password-stdin", "--log", "trace,sqlx=trace,sea_orm=trace", "--email", ADMIN][..], &names].concat();
        let created = home.start(home.command(&create).env("ROSTER_KEY", key()), PASSWORD);
        assert_eq!(wait_for_exit(created).await.code, 0);
        let serve = ["--listen", "127.0.0.1:0", "--log", "trace,sqlx=trace,sea_orm=trace,poem=trace"];
        let server = home.start(home.command(&serve).env("ROSTER_KEY", key()), "");
        server.says("Roster listens on").await;
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
        let link = wait_for_exit(home.start(home.command(&["admin", "link", "--email", ADMIN]).env("ROSTER_KEY", key()), "")).await;
        let link = link.out.split('#').nth(1).unwrap().trim().to_owned();
        let activate = format!("mutation {{ activateAccount(input: {{ token: \"{link}\", password: \"short\" }}) {{ success }} }}");
        assert_eq!(server.caller(None).data(&activate, json!({})).await["activateAccount"]["success"], json!(false));
        let log = server.err();
        assert!(log.contains("TRACE") && log.contains("a hash is computed"), "{log}");

        let hex = KEY.map(|byte| format!("{byte:02x}")).concat();
        let token = root.token.unwrap();
        let secrets = ["wrong-brass-otters", "nine-slate-herons", PASSWORD, &key(), &URL_SAFE_NO_PAD.encode(KEY), &hex, &token, &device, &api_key, &link];
        let secrets = secrets.map(str::as_bytes).into_iter().chain([&KEY[..]]);
        let files = files_in(&home.path("."));
        assert_eq!(files.iter().any(|(name, _)| name.ends_with("roster.db-wal")), home.is_sqlite());
        for secret in secrets {
            for (name, content) in &files {
                // A link is printed once, by the command that creates it.
                let is_shown = secret == link.as_bytes() && name.contains("/out-");
                let held = !is_shown && content.windows(secret.len()).any(|window| window == secret);
                assert!(!held, "{name}: {}", String::from_utf8_lossy(secret));
            }
        }
        let db = home.db().await;
        for row in credential::Entity::find().all(db.read()).await.unwrap() {
            assert!(!log.contains(&row.password_hash), "a password hash is in the log");
        }
    }
}

#[tokio::test]
async fn unusable_key_files_are_reported_before_the_server_listens() {
    let home = Home::on_sqlite();
    fs::create_dir(home.path("folder")).unwrap();
    for (name, content) in
        [("empty", ""), ("short", "c2VjcmV0"), ("text", "no key at all"), ("long", &"A".repeat(2_000))]
    {
        fs::write(home.path(name), content).unwrap();
    }
    fs::write(home.path("bytes"), KEY).unwrap();
    for name in ["empty", "short", "text", "long", "bytes", "folder"] {
        for command in ["serve", "demo"] {
            let refused = home.run(&[command, "--listen", "127.0.0.1:0", "--key-file", name]).await;
            assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{name}: {refused:?}");
            assert!(refused.err.contains(&format!("--key-file {name} (ROSTER_KEY_FILE)")), "{refused:?}");
            assert!(!refused.err.contains("c2VjcmV0") && !refused.err.contains("no key at all"), "{refused:?}");
        }
        let doctor = home.run(&["doctor", "--key-file", name]).await;
        assert!(
            doctor.code == 0 && doctor.out.contains(&format!("--key-file {name} (ROSTER_KEY_FILE): ")),
            "{doctor:?}"
        );
    }
    assert!(!home.path("roster-data").exists() && !home.path("roster-demo").exists());
    let doctor = home.run(&["doctor"]).await;
    assert!(doctor.out.contains("missing, created at the first start"), "{doctor:?}");
}

#[tokio::test]
async fn the_minimum_password_length_is_a_setting() {
    let home = Home::on_sqlite();
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
    let refused = home.run_with(&create, "zyG4!wq3x").await;
    assert!(refused.code == 1 && refused.err.contains("Must be at least 12 characters."), "{refused:?}");
    let refused = home.run_with(&[&create[..], &["--password-length", "10"]].concat(), "zyG4!wq3x").await;
    assert!(refused.code == 1 && refused.err.contains("Must be at least 10 characters."), "{refused:?}");
    assert_eq!(home.run_with(&[&create[..], &["--password-length", "8"]].concat(), "zyG4!wq3x").await.code, 0);
}
