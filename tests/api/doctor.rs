//! `roster doctor`: what it finds, what it advises, and its exit code.

use std::fs;

use crate::postgres;
use crate::process::{CommandOutput, Sandbox, set_mode};

/// The parameters of PostgreSQL that make the tests fast, and are findings.
const FORGETFUL: [&str; 3] = ["fsync is off", "synchronous_commit is off", "full_page_writes is off"];

/// What `roster doctor` has found, with the severity, but without the parameters of the database of the tests. Each finding must have
/// an advice.
pub fn findings(doctor: &CommandOutput) -> Vec<String> {
    let lines: Vec<&str> = doctor.out.lines().collect();
    let mut found = Vec::new();
    for (line, advice) in lines.iter().zip(lines.iter().skip(1)) {
        let Some((severity, state)) = line.split_once(' ') else { continue };
        if severity != "problem" && severity != "warning" {
            continue;
        }
        let is_advice = advice.starts_with("                      ") && !advice.trim().is_empty();
        assert!(is_advice, "no advice about {state:?}: {advice:?}");
        if !FORGETFUL.iter().any(|parameter| state.contains(parameter)) {
            found.push(format!("{severity}: {}", state.trim()));
        }
    }
    found
}

/// Runs `roster doctor` with arguments, which must find one thing. Returns what follows the severity.
async fn only_finding(sandbox: &Sandbox, arguments: &[&str], severity: &str) -> String {
    let doctor = sandbox.run(&[&["doctor"], arguments].concat()).await;
    let code = if severity == "problem" { 1 } else { 3 };
    assert_eq!((doctor.code, findings(&doctor).len()), (code, 1), "{arguments:?}: {doctor:?}");
    let found = findings(&doctor).remove(0);
    found.strip_prefix(&format!("{severity}: ")).unwrap_or_else(|| panic!("{found}")).to_owned()
}

#[tokio::test]
async fn a_directory_without_faults_has_no_findings() {
    let sandbox = Sandbox::on_sqlite();
    for sandbox in [&sandbox, &Sandbox::on_sqlite().with_admin().await] {
        let doctor = sandbox.run(&["doctor"]).await;
        assert!(doctor.code == 0 && doctor.out.ends_with("findings              none\n"), "{doctor:?}");
    }
}

#[tokio::test]
async fn settings_with_which_no_server_starts_are_problems() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    fs::write(sandbox.path("no-key"), "no key").unwrap();
    set_mode(&sandbox.path("no-key"), 0o600);
    for (arguments, expected) in [
        (&["--key-file", "no-key"][..], "--key-file no-key (ROSTER_KEY_FILE) cannot be used"),
        (&["--key-file", "none"], "--key-file none (ROSTER_KEY_FILE) is missing"),
        (&["--tls-cert", "none.pem", "--tls-key", "none.key"], "--tls-cert none.pem (ROSTER_TLS_CERT): No such file"),
        (&["--tls-cert", "none.pem"], "--tls-cert (ROSTER_TLS_CERT): requires --tls-key"),
        (&["--backup-every", "6h"], "--backup-every (ROSTER_BACKUP_EVERY) has no --backup-dir"),
        (
            &["--read-url", "postgres://roster@127.0.0.1:1/roster"],
            "--read-url (ROSTER_READ_URL): SQLite has no standby",
        ),
    ] {
        let found = only_finding(&sandbox, arguments, "problem").await;
        assert!(found.starts_with(expected), "{expected}: {found}");
    }
}

#[tokio::test]
async fn another_key_than_that_of_the_database_is_a_problem_and_the_advice_names_the_right_one() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let shown = sandbox.run(&["doctor"]).await;
    let fingerprint = shown.out.lines().find_map(|line| line.strip_prefix("key fingerprint ")).unwrap().trim();
    let generated = sandbox.run(&["key", "generate"]).await;
    fs::write(sandbox.path("other"), &generated.out).unwrap();
    set_mode(&sandbox.path("other"), 0o600);
    let found = only_finding(&sandbox, &["--key-file", "other"], "problem").await;
    assert_eq!(found, "--key-file other (ROSTER_KEY_FILE) does not have the key of the database");
    let doctor = sandbox.run(&["doctor", "--key-file", "other"]).await;
    let advice = format!("put a copy of the server key with the fingerprint {fingerprint} there");
    assert!(doctor.out.contains(&advice), "{advice}: {doctor:?}");
}

#[tokio::test]
async fn what_works_but_should_be_changed_is_a_warning() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    let public = ["--public-url", "https://people.example.org"];
    let found = only_finding(&sandbox, &public, "warning").await;
    assert!(found.starts_with("the proxy that speaks TLS is not trusted"), "{found}");
    for further in [&["--trusted-proxies", "127.0.0.1"][..], &["--listen", "unix:roster.sock"]] {
        let doctor = sandbox.run(&[&["doctor"][..], &public, further].concat()).await;
        assert!(doctor.code == 0 && findings(&doctor).is_empty(), "{doctor:?}");
    }
    set_mode(&sandbox.path("roster-data"), 0o750);
    let found = only_finding(&sandbox, &[], "warning").await;
    assert_eq!(found, "other users of this machine have access to roster-data");
    let both = sandbox.run(&["doctor", "--key-file", "none"]).await;
    assert!(both.code == 1 && both.out.contains("findings              1 problem, 1 warning\n"), "{both:?}");
    let by_url = ["--database-url", "sqlite://roster-data/roster.db", "--data-dir", "elsewhere"];
    let key = ["--key-file", "roster-data/roster.key"];
    let doctor = sandbox.run(&[&["doctor"][..], &by_url, &key].concat()).await;
    assert_eq!((doctor.code, findings(&doctor).len()), (0, 0), "{doctor:?}");
}

#[tokio::test]
async fn a_backup_that_is_overdue_is_a_problem() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    fs::create_dir(sandbox.path("backups")).unwrap();
    fs::write(sandbox.path("backups/roster-20260101T000000.000Z.tar"), "a backup").unwrap();
    let scheduled = ["--backup-every", "6h", "--backup-dir", "backups"];
    let found = only_finding(&sandbox, &scheduled, "problem").await;
    assert_eq!(found, "the newest backup is from 2026-01-01 00:00:00 UTC, but one is due every 6h");
    // Somebody else makes the backups in this directory.
    let doctor = sandbox.run(&["doctor", "--backup-dir", "backups"]).await;
    assert_eq!((doctor.code, findings(&doctor).len()), (0, 0), "{doctor:?}");
    assert_eq!(sandbox.run(&["backup", "backups"]).await.code, 0);
    let doctor = sandbox.run(&[&["doctor"][..], &scheduled].concat()).await;
    assert_eq!((doctor.code, findings(&doctor).len()), (0, 0), "{doctor:?}");
}

#[tokio::test]
async fn a_database_that_loses_changes_without_power_is_a_problem() {
    let Some(server) = postgres::server() else { return };
    let doctor = Sandbox::on_database(server.fresh_database().await).run(&["doctor"]).await;
    assert!(doctor.code == 1 && findings(&doctor).is_empty(), "{doctor:?}");
    for parameter in FORGETFUL {
        assert!(doctor.out.contains(&format!("problem               {parameter}: ")), "{parameter}: {doctor:?}");
    }
}
