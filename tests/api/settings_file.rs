//! Settings in a TOML file.

use std::fs;

use crate::process::{Sandbox, set_mode};

fn write(sandbox: &Sandbox, text: &str) {
    fs::write(sandbox.path("roster.toml"), text).unwrap();
    set_mode(&sandbox.path("roster.toml"), 0o600);
}

#[tokio::test]
async fn settings_of_a_file_yield_to_variables_and_variables_to_flags() {
    let sandbox = Sandbox::on_sqlite();
    let text = "request-seconds = 11\nsession-days = 12\npassword-length = 13\nplayground = false\n\
                trusted-proxies = [\"192.0.2.1\", \"10.0.0.0/8\"]\npublic-url = \"https://people.example.org\"\n";
    write(&sandbox, text);
    let environment =
        [("ROSTER_CONFIG", "roster.toml"), ("ROSTER_SESSION_DAYS", "21"), ("ROSTER_PASSWORD_LENGTH", "22")];
    let mut command = sandbox.command(&["doctor", "--password-length", "23"]);
    let mut doctor = sandbox.start(command.envs(environment), "");
    assert_eq!((doctor.code().await, doctor.err().as_str()), (0, ""));
    for line in [
        "settings file         roster.toml",
        "request deadline      11 s",
        "sessions              21 days, 12 hours without use",
        "password length       at least 23 characters",
        "playground            false",
        "trusted proxies       192.0.2.1/32, 10.0.0.0/8",
        "public URL            https://people.example.org",
    ] {
        assert!(doctor.out().lines().any(|printed| printed == line), "{line}\n{}", doctor.out());
    }
    let by_flag = sandbox.run(&["--config", "roster.toml", "doctor"]).await;
    assert!(by_flag.out.contains("at least 13 characters"), "{by_flag:?}");
}

#[tokio::test]
async fn a_flag_or_a_variable_wins_over_the_other_way_to_set_the_same() {
    let sandbox = Sandbox::on_sqlite();
    write(&sandbox, "database-url = \"sqlite://of-file/roster.db\"\n");
    fs::write(sandbox.path("url"), "sqlite://of-variable/roster.db").unwrap();
    set_mode(&sandbox.path("url"), 0o600);
    let mut command = sandbox.command(&["doctor", "--config", "roster.toml"]);
    let mut doctor = sandbox.start(command.env("DATABASE_URL_FILE", "url"), "");
    assert_eq!(doctor.code().await, 0, "{}", doctor.err());
    assert!(doctor.out().contains("of-variable/roster.db") && !doctor.out().contains("of-file"), "{}", doctor.out());
    let of_file = sandbox.run(&["doctor", "--config", "roster.toml"]).await;
    assert!(of_file.code == 0 && of_file.out.contains("of-file/roster.db"), "{of_file:?}");
}

#[tokio::test]
async fn the_hint_for_the_first_administrator_names_the_settings_file() {
    let sandbox = Sandbox::on_sqlite();
    write(&sandbox, "data-dir = \"elsewhere\"\n");
    let server = sandbox.serve(&["--config", "roster.toml"]).await;
    let hint = server.out().lines().find_map(|line| line.trim().strip_prefix("roster ").map(str::to_owned));
    let is_short = hint.as_deref().is_some_and(|hint| hint.starts_with("--config roster.toml admin create "));
    assert!(is_short, "{}", server.out());
    let names = hint.unwrap().replace("you@example.org", "ada@example.org").replace("\"Your organization\"", "Alder");
    let created = sandbox.run(&names.split(' ').collect::<Vec<_>>()).await;
    assert!(created.code == 0 && created.out.contains("ada@example.org"), "{created:?}");
    assert!(!sandbox.path("roster-data").exists());
    let server = sandbox.serve(&["--config", "roster.toml", "--data-dir", "other"]).await;
    assert!(server.out().contains("roster --config roster.toml --data-dir other admin create "), "{}", server.out());
}

#[tokio::test]
async fn everything_wrong_with_a_file_is_named_with_its_line() {
    let sandbox = Sandbox::on_sqlite();
    let text = "# Settings\n\
                listne = \"127.0.0.1:0\"\n\
                request-seconds = \"10\"\n\
                session-days = 0\n\
                playground = \"yes\"\n\
                trusted-proxies = \"10.0.0.0/8\"\n\
                key = \"c2VjcmV0\"\n\
                log-format = \"xml\"\n\
                database-url = 5\n\
                config = \"other.toml\"\n\
                smtp-url = \"smtps://mail.example.org\"\n\
                smtp-url-file = \"url\"\n\
                allowed-origins = [\"https://a.example.org\", 7]\n\
                public-url = \"nowhere\"\n\
                [section]\n";
    write(&sandbox, text);
    let refused = sandbox.run(&["doctor", "--config", "roster.toml"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{refused:?}");
    for (line, texts) in [
        (2, &["listne: not a setting; did you mean listen?"][..]),
        (3, &["request-seconds: expected an integer (got string)"]),
        (4, &["--session-days", "1..=365"]),
        (5, &["playground: expected true or false (got string)"]),
        (6, &["trusted-proxies: expected an array of strings (got string)"]),
        (7, &["--key", "expected 32 bytes in base64"]),
        (8, &["--log-format", "possible values: text, json"]),
        (9, &["database-url: expected a string (got integer)"]),
        (10, &["config: not a setting"]),
        (12, &["No such file"]),
        (13, &["allowed-origins: expected an array of strings (item 2 is of the type integer)"]),
        (14, &["--public-url", "expected http(s)://host/path (relative URL without a base)"]),
        (15, &["section: not a setting"]),
    ] {
        let start = format!("roster.toml:{line}: ");
        let found =
            refused.err.lines().find(|found| found.contains(&start)).unwrap_or_else(|| panic!("{line}: {refused:?}"));
        assert!(texts.iter().all(|text| found.contains(text)), "{texts:?}: {found}");
    }
    assert!(!refused.err.contains("c2VjcmV0"), "a key was printed: {refused:?}");
}

#[tokio::test]
async fn a_file_that_is_missing_or_not_toml_is_named_and_never_quoted() {
    let sandbox = Sandbox::on_sqlite();
    let missing = sandbox.run(&["doctor", "--config", "none.toml"]).await;
    assert!(
        missing.code == 2 && missing.err.contains("--config none.toml (ROSTER_CONFIG): No such file"),
        "{missing:?}"
    );
    write(&sandbox, "listen = \"127.0.0.1:0\"\nkey = \"hunter-2\nlog = \"info\"\n");
    let broken = sandbox.run(&["doctor", "--config", "roster.toml"]).await;
    assert!(broken.code == 2 && broken.err.contains("roster.toml:2: not valid TOML: "), "{broken:?}");
    assert!(!broken.err.contains("hunter"), "{broken:?}");
    write(&sandbox, "smtp-url = \"smtps://mail.example.org\"\nsmtp-url-file = \"roster.toml\"\n");
    let both = sandbox.run(&["doctor", "--config", "roster.toml"]).await;
    assert!(both.code == 2 && !both.err.contains("mail.example.org"), "{both:?}");
}

#[tokio::test]
async fn secrets_of_a_file_are_not_printed_and_a_file_open_to_others_causes_a_warning() {
    let sandbox = Sandbox::on_sqlite();
    write(&sandbox, "smtp-url = \"smtps://ann:hunter-2@mail.example.org\"\n");
    let arguments = ["doctor", "--config", "roster.toml"];
    let private = sandbox.run(&arguments).await;
    assert_eq!((private.code, private.err.as_str()), (0, ""));
    assert!(private.out.contains("smtps://ann:***@mail.example.org"), "{private:?}");
    set_mode(&sandbox.path("roster.toml"), 0o644);
    let open = sandbox.run(&arguments).await;
    assert!(
        open.err.contains("--config roster.toml: other users can read smtp-url in this file (mode 0644)"),
        "{open:?}"
    );
    let help = sandbox.run(&["--help", "--all", "--config", "roster.toml"]).await;
    for output in [private, open, help] {
        assert!(!(output.out + &output.err).contains("hunter"));
    }
}
