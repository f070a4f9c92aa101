//! `pg_dump` and `pg_restore`: finds the programs on this machine, and runs them with the settings of a URL.
//!
//! The settings are handed over in the environment, which other users of the machine cannot see, unlike arguments.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use percent_encoding::percent_decode_str;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::process::Command;
use url::Url;

use crate::db;

/// The directories in which packages of PostgreSQL have one for each version, such as `/usr/lib/postgresql/17` and `/usr/pgsql-17`,
/// and what precedes the version.
const PACKAGES: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];
/// The variables of libpq that would override the settings of the URL.
const OVERRIDING: [&str; 3] = ["PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"];
/// The first version that can verify a server by the certificates of the system.
const WITH_SYSTEM_CERTIFICATES: u32 = 16;
/// The most lines of a program's messages that are repeated.
const MAX_LINES: usize = 20;

/// Returns a command of a program for the server of a URL.
///
/// # Errors
/// That no program of at least the server's version is installed.
pub(super) async fn server_command(name: &str, url: &str, server_version: u32) -> anyhow::Result<Command> {
    let (program, version) = find(name, server_version).await?;
    let mut command = Command::new(program);
    for variable in OVERRIDING {
        command.env_remove(variable);
    }
    command.envs(environment(url, version)?);
    Ok(command)
}

/// Lists a dump, and returns the number of objects in it.
pub(super) async fn list(dump: &Path) -> anyhow::Result<usize> {
    let (program, _) = find("pg_restore", 0).await?;
    let list = run("pg_restore", Command::new(program).arg("--list").arg(dump)).await?;
    Ok(list.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty()).count())
}

/// Runs a program to its end, and returns its output. It is killed when the future is dropped.
pub(super) async fn run(name: &str, command: &mut Command) -> anyhow::Result<String> {
    command.env("LC_MESSAGES", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.kill_on_drop(true).output().await.with_context(|| name.to_owned())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let messages: Vec<&str> = messages.lines().take(MAX_LINES).collect();
    bail!("{name} failed ({}): {}", output.status, messages.join("\n"))
}

/// Returns the first program in PATH, or else the newest in the usual directories, of at least a major version.
async fn find(name: &str, min_version: u32) -> anyhow::Result<(PathBuf, u32)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).chain(package_directories()).map(|dir| dir.join(name));
    let mut too_old = None;
    for program in candidates.filter(|program| program.is_file()) {
        match version_of(&program).await {
            Ok(version) if version >= min_version => return Ok((program, version)),
            Ok(version) => too_old = Some((program, version)),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), program = %program.display(), "ignoring a program");
            }
        }
    }
    match too_old {
        Some((program, version)) => bail!(
            "the server is PostgreSQL {min_version}, but {} is of version {version}: install the client programs of \
             PostgreSQL {min_version} or later",
            program.display()
        ),
        None => bail!(
            "{name} is neither in PATH nor in /usr/lib/postgresql/*/bin: install the client programs of PostgreSQL, such as \
             the package postgresql-client"
        ),
    }
}

/// Returns the directories of installed packages, the newest first.
fn package_directories() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (dir, prefix) in PACKAGES {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let version = name.to_str().and_then(|name| name.strip_prefix(prefix)).map(str::parse::<u32>);
            if let Some(Ok(version)) = version {
                found.push((version, entry.path().join("bin")));
            }
        }
    }
    found.sort();
    found.into_iter().rev().map(|(_, dir)| dir).collect()
}

/// Returns the major version of a program.
async fn version_of(program: &Path) -> anyhow::Result<u32> {
    // Such as `pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)`.
    let text = run("--version", Command::new(program).arg("--version")).await?;
    let version = text.split_whitespace().nth(2).and_then(|version| version.split(['.', 'b', 'r', 'd']).next());
    version.unwrap_or_default().parse().with_context(|| format!("no version in {text:?}"))
}

fn options_of(url: &str) -> anyhow::Result<PgConnectOptions> {
    PgConnectOptions::from_str(url).context("the URL of the database")
}

/// Returns the settings of a URL as variables of libpq, for programs of a version.
fn environment(url: &str, version: u32) -> anyhow::Result<Vec<(&'static str, String)>> {
    let urls = db::urls_of_hosts(url);
    let hosts = urls.iter().map(|url| options_of(url)).collect::<anyhow::Result<Vec<_>>>()?;
    let (url, options) = urls.first().zip(hosts.first()).context("the URL of the database has no host")?;
    let host = |options: &PgConnectOptions| {
        options.get_socket().map_or_else(|| options.get_host().to_owned(), |dir| dir.display().to_string())
    };
    let port = |options: &PgConnectOptions| options.get_port().to_string();
    let ssl_mode = match options.get_ssl_mode() {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    };
    let mut variables = vec![
        ("PGHOST", hosts.iter().map(host).collect::<Vec<_>>().join(",")),
        ("PGPORT", hosts.iter().map(port).collect::<Vec<_>>().join(",")),
        ("PGTARGETSESSIONATTRS", if hosts.len() > 1 { "read-write" } else { "any" }.to_owned()),
        ("PGUSER", options.get_username().to_owned()),
        ("PGDATABASE", options.get_database().unwrap_or(options.get_username()).to_owned()),
        ("PGSSLMODE", ssl_mode.to_owned()),
        ("PGAPPNAME", "roster backup".to_owned()),
    ];
    variables.extend(options.get_options().map(|options| ("PGOPTIONS", options.to_owned())));
    variables.extend(credentials(&Url::parse(url).context("the URL of the database")?)?);
    let verifies = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
    if verifies && !variables.iter().any(|(name, _)| *name == "PGSSLROOTCERT") {
        // Roster trusts the authorities that browsers trust.
        ensure!(
            version >= WITH_SYSTEM_CERTIFICATES,
            "sslmode={ssl_mode} without sslrootcert needs PostgreSQL 16's programs"
        );
        variables.push(("PGSSLROOTCERT", "system".to_owned()));
    }
    Ok(variables)
}

/// Returns the password and the files of certificates in a URL as variables of libpq.
fn credentials(url: &Url) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut variables = Vec::new();
    if let Some(password) = url.password() {
        variables.push(("PGPASSWORD", percent_decode_str(password).decode_utf8()?.into_owned()));
    }
    for (name, value) in url.query_pairs() {
        let variable = match &*name {
            "password" => "PGPASSWORD",
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            _ => continue,
        };
        variables.push((variable, value.into_owned()));
    }
    Ok(variables)
}

/// Returns the name of the database of a URL as a connection string, whatever characters it has.
pub(super) fn connection_string(url: &str) -> anyhow::Result<String> {
    let urls = db::urls_of_hosts(url);
    let options = options_of(urls.first().context("the URL of the database has no host")?)?;
    let name = options.get_database().unwrap_or(options.get_username());
    Ok(format!("dbname='{}'", name.replace('\\', "\\\\").replace('\'', "\\'")))
}
