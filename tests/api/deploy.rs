//! The files of deploy/: programs that read them accept them, and they name settings, commands and paths that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regex::Regex;
use serde_json::Value;

use crate::process::Sandbox;
use crate::programs::is_installed;

/// Debian's Python, for which yaml is packaged.
const PYTHON: &str = "/usr/bin/python3";
const TO_JSON: &str = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
/// The highest level of exposure that `systemd-analyze security` may report, in tenths.
const MAX_EXPOSURE: u32 = 25;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of deploy/.
fn files() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![deploy("")]);
    while let Some(folder) = folders.pop() {
        // A folder with secrets is not part of the repository.
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let entries = entries.filter(|path| !path.ends_with("secrets"));
        let (inner, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        folders.extend(inner);
        found.extend(files);
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

/// The documents of a YAML file. None if they cannot be read here.
fn yaml(path: &Path) -> Option<Vec<Value>> {
    if !is_installed(PYTHON, &["-c", "import yaml"]) {
        return None;
    }
    let output = Command::new(PYTHON).args(["-c", TO_JSON]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn printed(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[tokio::test]
async fn the_settings_exist() {
    let sandbox = Sandbox::on_sqlite();
    let help = sandbox.run(&["--help", "--all"]).await.out + &sandbox.run(&["restore", "--help"]).await.out;
    let name = Regex::new(r"\b(?:ROSTER_[A-Z][A-Z_]*[A-Z]|DATABASE_URL(?:_FILE)?)\b").unwrap();
    let known: BTreeSet<&str> = name.find_iter(&help).map(|found| found.as_str()).collect();
    assert!(known.len() > 30, "{known:?}");
    let mut used = 0;
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        for found in name.find_iter(&text) {
            assert!(known.contains(found.as_str()), "{}: {}", file.display(), found.as_str());
            used += 1;
        }
    }
    assert!(used > 20, "only {used} settings were found");
}

#[tokio::test]
async fn the_values_of_settings_are_valid() {
    let sandbox = Sandbox::on_sqlite();
    let assignment = Regex::new(r#"\b(ROSTER_[A-Z_]+)(?:=|: )"?([^\s"]+)"#).unwrap();
    let mut values = BTreeSet::new();
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        for found in assignment.captures_iter(&text) {
            values.insert((found[1].to_owned(), found[2].trim_end_matches([',', '.', ';', '`']).to_owned()));
        }
    }
    // Files and variables that do not exist here.
    values.retain(|(name, value)| !name.ends_with("_FILE") && !value.starts_with(['$', '%']));
    assert!(values.len() > 8, "{values:?}");
    for (name, value) in values {
        let mut doctor = sandbox.start(sandbox.command(&["doctor"]).env(&name, &value), "");
        assert_ne!(doctor.code().await, 2, "{name}={value}: {}", doctor.err());
    }
}

#[test]
fn yaml_files_can_be_read() {
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    for file in files().into_iter().filter(is_yaml) {
        let Some(documents) = yaml(&file) else { return };
        assert!(!documents.is_empty() && documents.iter().all(Value::is_object), "{}", file.display());
    }
}

#[tokio::test]
async fn probes_ask_for_paths_that_exist() {
    let Some(documents) = yaml(&deploy("kubernetes/roster.yaml")) else { return };
    let deployment = documents.iter().find(|document| document["kind"] == "Deployment").unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let sandbox = Sandbox::on_sqlite();
    let server = sandbox.serve(&[]).await;
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap_or_else(|| panic!("{probe}"));
        assert_eq!(server.status_of(path).await, 200, "{probe}: {path}");
    }
}

#[test]
fn no_secret_is_given_as_a_variable() {
    let variable = "ROSTER_KEY|ROSTER_PASSPHRASE|ROSTER_SMTP_URL|DATABASE_URL|POSTGRES_PASSWORD";
    let given = Regex::new(&format!(r"(?m)(?:^\s*|name: |Environment=|ENV )(?:{variable})(?:[:=].*)?$")).unwrap();
    assert!(
        given.is_match("    DATABASE_URL: postgres://roster") && !given.is_match("    DATABASE_URL_FILE: /run/url")
    );
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        let found: Vec<&str> = given.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(found.is_empty(), "{}: {found:?}", file.display());
    }
}

#[test]
fn secrets_of_compose_are_declared() {
    let Some(documents) = yaml(&deploy("compose.yaml")) else { return };
    let compose = &documents[0];
    let mut used = 0;
    for service in compose["services"].as_object().unwrap().values() {
        for secret in service["secrets"].as_array().unwrap() {
            assert!(compose["secrets"][secret.as_str().unwrap()].is_object(), "{secret}");
            used += 1;
        }
    }
    assert_eq!(used, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_health_check_of_the_image_follows_the_server() {
    let dockerfile = read("Dockerfile");
    let check = dockerfile.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once("CMD ")).unwrap().1;
    let check: Vec<String> = serde_json::from_str(check).unwrap();
    assert_eq!(check[0], "roster");
    let sandbox = Sandbox::on_sqlite();
    let mut server = sandbox.serve(&[]).await;
    let address = server.address();
    let arguments: Vec<&str> = check[1..].iter().map(String::as_str).chain(["--listen", &address]).collect();
    let healthy = sandbox.run(&arguments).await;
    assert_eq!((healthy.code, healthy.out.as_str(), healthy.err.as_str()), (0, "/health/ready 200\n", ""));
    let live = sandbox.run(&["health", "--live", "--listen", &address]).await;
    assert_eq!((live.code, live.out.as_str()), (0, "/health/live 200\n"));
    server.signal("TERM");
    assert_eq!(server.code().await, 0);
    let stopped = sandbox.run(&arguments).await;
    assert!(stopped.code == 1 && stopped.err.contains(&format!("no response from {address}")), "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_asked_through_a_unix_socket_and_at_all_addresses() {
    let sandbox = Sandbox::on_sqlite();
    let unix = ["--listen", "unix:roster.sock"];
    let server = sandbox.start(&mut sandbox.command(&unix), "");
    server.wait_for_output("Roster listens on unix:roster.sock").await;
    let healthy = sandbox.run(&["health", unix[0], unix[1]]).await;
    assert_eq!((healthy.code, healthy.out.as_str()), (0, "/health/ready 200\n"), "{healthy:?}");
    let sandbox = Sandbox::on_sqlite();
    let server = sandbox.serve_at("0.0.0.0:0", &[]).await;
    let address = server.address().replace("localhost", "0.0.0.0");
    let everywhere = sandbox.run(&["health", "--listen", &address]).await;
    assert_eq!(everywhere.code, 0, "{everywhere:?}");
}

/// The units, with a program that exists here. They are in a folder that is removed when it is dropped.
fn units() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for unit in ["roster.service", "roster-verify.service", "roster-verify.timer"] {
        let text = read(&format!("systemd/{unit}")).replace("/usr/local/bin/roster", env!("CARGO_BIN_EXE_roster"));
        fs::write(dir.path().join(unit), text).unwrap();
    }
    dir
}

#[test]
fn systemd_accepts_the_units() {
    if !is_installed("systemd-analyze", &["--version"]) {
        return;
    }
    let dir = units();
    let units = ["roster.service", "roster-verify.service", "roster-verify.timer"].map(|unit| dir.path().join(unit));
    let verified = Command::new("systemd-analyze").arg("verify").args(&units).output().unwrap();
    let complaints: Vec<String> =
        printed(&verified).lines().filter(|line| line.contains("roster")).map(str::to_owned).collect();
    assert!(verified.status.success() && complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn systemd_finds_the_services_hardened() {
    if !is_installed("systemd-analyze", &["--version"]) {
        return;
    }
    let dir = units();
    let security = || {
        for unit in ["roster.service", "roster-verify.service"] {
            let mut command = Command::new("systemd-analyze");
            command.args(["security", "--offline=true", &format!("--threshold={MAX_EXPOSURE}")]);
            let output = command.arg(dir.path().join(unit)).output().unwrap();
            assert!(output.status.success(), "{unit}: {}", printed(&output));
        }
    };
    security();
    let folder = dir.path().join("roster.service.d");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tls.conf"), read("systemd/tls.conf")).unwrap();
    security();
}

#[test]
fn nginx_accepts_its_file() {
    if !is_installed("nginx", &["-v"]) || !is_installed("openssl", &["version"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display();
    let mut key = Command::new("openssl");
    key.args(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=people.example.org -keyout key.pem -out cert.pem"
            .split(' '),
    );
    assert!(key.current_dir(dir.path()).output().unwrap().status.success());
    let listen = Regex::new(r"listen (\[::\]:)?(80|443)\b").unwrap();
    let mut sockets = 0;
    // nginx opens what it listens on.
    let file = read("nginx/roster.conf");
    let text = listen.replace_all(&file, |_: &regex::Captures<'_>| {
        sockets += 1;
        format!("listen unix:{place}/{sockets}.sock")
    });
    assert_eq!(sockets, 4);
    let text = text.replace("/etc/ssl/roster/", &format!("{place}/")).replace("/var/log/nginx/", &format!("{place}/"));
    fs::write(dir.path().join("roster.conf"), text).unwrap();
    let around = format!(
        "pid {place}/pid;\nevents {{}}\nhttp {{\nclient_body_temp_path {place};\nproxy_temp_path {place};\ninclude {place}/roster.conf;\n}}\n"
    );
    fs::write(dir.path().join("nginx.conf"), around).unwrap();
    let mut nginx = Command::new("nginx");
    nginx.args(["-t", "-e", "stderr", "-c"]).arg(dir.path().join("nginx.conf"));
    let output = nginx.output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
}
