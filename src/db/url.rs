//! URLs of databases: validation, display without the password, and the files of SQLite.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use url::Url;

use super::hosts::{HostList, POOLER, POOLERS, TARGET_SESSION_ATTRS, TARGETS, has_pooler, urls_of_hosts};

/// The supported parameters of a PostgreSQL URL, by the names of libpq (PostgreSQL's manual, section 34.1.2), and our own.
const PARAMETERS: [&str; 15] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    POOLER,
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    TARGET_SESSION_ATTRS,
    "user",
];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];
const EXPECTED: &str = "expected postgres://user:password@host/database or sqlite:///path/to/file";
const ENCODE: &str =
    "percent-encode special characters in the user name and the password, such as %40 for @, %2F for / and %25 for %";
const SEVERAL: &str = "list several hosts as in postgres://user:password@host1:5432,host2:5432/database";
const POOLED_OPTIONS: &str =
    "options: a connection pooler ignores them; use ALTER ROLE ... SET, such as for search_path";
/// The least similarity of an unknown name to a known one for it to be taken for a typo, from 0 to 1.
const LIKELY_TYPO: f64 = 0.8;

/// The host in place of several ones, which the parser of URLs refuses.
const PLACEHOLDER: &str = "several-hosts.invalid";

/// Returns whether a URL names a PostgreSQL database.
#[must_use]
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}

/// Returns the URL of a SQLite file.
#[must_use]
pub fn url_of(file: &Path) -> String {
    // Absolute, because the first part of a relative path would be parsed as a host name.
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!("sqlite://{}", file.display().to_string().replace('%', "%25").replace('?', "%3F"))
}

/// Returns the file of a SQLite database if it does not exist yet.
#[must_use]
pub fn missing_file(url: &str) -> Option<PathBuf> {
    file_of(url).filter(|file| !file.exists())
}

/// Returns the file of a SQLite database; `None` for one in memory and for PostgreSQL.
#[must_use]
pub fn file_of(url: &str) -> Option<PathBuf> {
    let in_memory = |url: &str| url.contains(":memory:") || url.contains("mode=memory");
    let url = Some(url).filter(|url| url.starts_with("sqlite:") && !in_memory(url))?;
    let file = SqliteConnectOptions::from_str(url).ok()?.get_filename().to_owned();
    (!file.as_os_str().is_empty()).then_some(file)
}

/// Validates the URL of a database and returns it in the form in which it is used.
///
/// # Errors
/// The error and the expected format, without the password.
pub fn check_url(url: &str) -> Result<String, String> {
    if !is_postgres(url) {
        return file_of(url).map(|_| url.to_owned()).ok_or_else(|| EXPECTED.to_owned());
    }
    let url = with_host(url);
    if is_ambiguous(&url) {
        return Err(ENCODE.to_owned());
    }
    let list = HostList::split(&url);
    for (place, host) in list.hosts.iter().enumerate() {
        if host.is_empty() && list.hosts.len() > 1 {
            return Err(format!("a host is empty; {SEVERAL}"));
        }
        let parsed = Url::parse(&list.with_host(host)).map_err(|error| format!("{error}; {EXPECTED}; {ENCODE}"))?;
        // The parameters are those of all hosts.
        let pairs = parsed.query_pairs().filter(|_| place == 0);
        let errors: Vec<String> = pairs.filter_map(|(name, value)| parameter_error(&name, &value)).collect();
        if !errors.is_empty() {
            return Err(errors.join("; "));
        }
    }
    let is_pooled = has_pooler(&url);
    for url in urls_of_hosts(&url) {
        let options = PgConnectOptions::from_str(&url).map_err(|_| EXPECTED.to_owned())?;
        if is_pooled && options.get_options().is_some() {
            return Err(POOLED_OPTIONS.to_owned());
        }
    }
    Ok(url)
}

/// Returns a URL without its password. In a malformed URL, everything that may be part of the password is hidden.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("//") else { return url.to_owned() };
    let list = HostList::split(url);
    if list.hosts.len() > 1 && !is_ambiguous(url) {
        let one = list.with_host(PLACEHOLDER);
        let Ok(parsed) = Url::parse(&one) else { return format!("{scheme}//***") };
        return without_parsed_password(&one, parsed).replacen(PLACEHOLDER, &list.hosts.join(","), 1);
    }
    match Url::parse(url) {
        Ok(parsed) if !is_ambiguous(url) => without_parsed_password(url, parsed),
        _ => match rest.rsplit_once('@') {
            Some((login, host)) => {
                let user = login.split(':').next().unwrap_or_default();
                format!("{scheme}//{user}:***@{host}")
            }
            None => format!("{scheme}//***"),
        },
    }
}

fn without_parsed_password(url: &str, mut parsed: Url) -> String {
    let in_query = parsed.query_pairs().any(|(name, _)| name == "password");
    if in_query {
        let mut pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        pairs.iter_mut().filter(|(name, _)| name == "password").for_each(|(_, value)| "***".clone_into(value));
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    let before_host = parsed.password().is_some() && parsed.set_password(Some("***")).is_ok();
    if before_host || in_query { parsed.to_string() } else { url.to_owned() }
}

/// Returns the URL with a host: libpq accepts one without a host if the query has it, as in
/// `postgres://user@/database?host=/run/postgresql`.
fn with_host(url: &str) -> String {
    match url.split_once("@/") {
        Some((login, path))
            if !login.trim_start_matches("postgresql://").trim_start_matches("postgres://").contains('/') =>
        {
            format!("{login}@localhost/{path}")
        }
        _ => url.to_owned(),
    }
}

/// Returns whether the login has a special character that is not encoded, so that the apparent host may be part of the password.
fn is_ambiguous(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("//") else { return false };
    let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_encoded = |text: &str| {
        let mut parts = text.split('%');
        parts.next();
        parts.all(|part| part.chars().take(2).filter(char::is_ascii_hexdigit).count() == 2)
    };
    let login = before_query.rsplit_once('@').map_or("", |(login, _)| login);
    let is_parameter = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        PARAMETERS.contains(&name) || name.starts_with("options[")
    };
    // The apparent query may be the rest of a password with a question mark.
    let has_login_in_query = !before_query.contains('@') && query.contains('@') && !query.split('&').all(is_parameter);
    login.contains(['@', '/']) || !is_encoded(login) || url.contains('#') || has_login_in_query
}

/// Returns the error of a parameter of a PostgreSQL URL, if it has one.
fn parameter_error(name: &str, value: &str) -> Option<String> {
    if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
        let likeness = |known: &&str| strsim::jaro_winkler(known, name);
        let likely = PARAMETERS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        return Some(match likely.filter(|known| likeness(known) > LIKELY_TYPO) {
            Some(known) => format!("unknown parameter {name:?}; did you mean {known:?}?"),
            None => format!("unknown parameter {name:?}; expected one of {}", PARAMETERS.join(", ")),
        });
    }
    if name == "sslmode" && !SSL_MODES.contains(&value) {
        return Some(format!("sslmode: {value:?} is unknown; expected one of {}", SSL_MODES.join(", ")));
    }
    let choices: &[&str] = match name {
        TARGET_SESSION_ATTRS => &TARGETS,
        POOLER => &POOLERS,
        _ => &[],
    };
    if !choices.is_empty() && !choices.contains(&value) {
        return Some(format!("{name}: {value:?} is not supported; expected one of {}", choices.join(", ")));
    }
    if matches!(name, "host" | "hostaddr" | "port") && value.contains(',') {
        return Some(format!("{name}: {SEVERAL}"));
    }
    if FILES.contains(&name) {
        let hint =
            if name == "sslrootcert" { "; omit it to use the certificate authorities that browsers trust" } else { "" };
        return std::fs::File::open(Path::new(value)).err().map(|error| format!("{name}: {value}: {error}{hint}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        let cases = [
            ("postgres://roster:p@ss/w:rd%1@127.0.0.1:5432/roster", "percent-encode"),
            ("postgres://roster:p%4@127.0.0.1/roster", "percent-encode"),
            ("postgres://roster:se#ret@127.0.0.1/roster", "percent-encode"),
            ("postgres://roster:se/ret@127.0.0.1/roster", "percent-encode"),
            ("postgres://roster:se?ret@127.0.0.1/roster", "percent-encode"),
            ("postgres://roster:1,2?ret@127.0.0.1/roster", "percent-encode"),
            ("postgres://roster:12?ret@127.0.0.1/roster", "percent-encode"),
            ("postgresql://roster:100%ret@127.0.0.1/roster", "percent-encode"),
            ("postgres://h/db?sslmod=verify-full", "did you mean \"sslmode\"?"),
            ("postgres://h/db?sslmode=required", "sslmode: \"required\" is unknown; expected one of disable,"),
            ("postgres://h/db?sslrootcert=system", "sslrootcert: system: "),
            ("postgres://h/db?sslcert=/none&wait=1", "sslcert: /none: "),
            ("postgres://h/db?connections=1", "expected one of application_name,"),
            ("postgres://a,/db", "a host is empty"),
            ("postgres://a:1,b:x/db", "port"),
            ("postgres://h/db?host=a,b", "list several hosts"),
            ("postgres://a,b/db?target_session_attrs=standby", "expected one of any, primary, read-write"),
            ("postgres://h/db?pooler=statement", "expected one of session, transaction"),
            ("postgres://h/db?pooler=session&options[search_path]=a", "ALTER ROLE"),
            ("host=a dbname=b", "expected postgres://"),
            ("mysql://h/db", "expected postgres://"),
        ];
        for (url, expected) in cases {
            let error = check_url(url).unwrap_err();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("ss/w") && !error.contains("ret"), "{url}: {error}");
        }
        let all = check_url("postgres://h/db?sslmod=x&sslmode=y").unwrap_err();
        assert!(all.contains("sslmod\"") && all.contains("\"y\""), "{all}");
    }

    #[test]
    fn a_good_url_is_taken() {
        for url in [
            "postgres://h/db",
            "postgresql://roster@h:5432/db?sslmode=verify-full&application_name=a@b",
            "postgres://roster:p%40ss%2Fw%3Ard%251@127.0.0.1:5432/roster",
            "postgres:///db?host=/run/postgresql&port=5433&user=roster",
            "postgresql://roster@%2Frun%2Fpostgresql:5433/db",
            "postgres://h/db?options[search_path]=roster",
            "postgres://roster:p%40ss@a:5432,b:5433,[::1]/db?target_session_attrs=read-write",
            "postgres://h/db?pooler=transaction",
            "sqlite:///var/lib/roster/roster.db",
        ] {
            assert_eq!(check_url(url).as_deref(), Ok(url));
        }
        let libpq = "postgres://roster:se%2Fret@/db?host=/run/postgresql";
        assert_eq!(check_url(libpq).as_deref(), Ok("postgres://roster:se%2Fret@localhost/db?host=/run/postgresql"));
    }

    #[test]
    fn a_password_is_hidden_however_it_is_written() {
        for (url, shown) in [
            ("postgres://roster:secret@h/db", "postgres://roster:***@h/db"),
            ("postgres://roster:s@cr/e:t%1@h:1/db", "postgres://roster:***@h:1/db"),
            ("postgres://roster:s@cret@h/db", "postgres://roster:***@h/db"),
            ("postgres://roster:se#cret@h/db", "postgres://roster:***@h/db"),
            ("postgres://roster:se?cret@h/db", "postgres://roster:***@h/db"),
            ("postgres://roster:se,cr?et@h/db", "postgres://roster:***@h/db"),
            ("postgres://roster:12?34@h/db", "postgres://roster:***@h/db"),
            ("postgres://roster:12/34?56=7@h/db", "postgres://roster:***@h/db"),
            ("postgres://h:5432/db?application_name=a@b", "postgres://h:5432/db?application_name=a@b"),
            ("postgres://roster:[@h/db", "postgres://roster:***@h/db"),
            ("postgres://h/db?user=roster&password=secret", "postgres://h/db?user=roster&password=***"),
            ("postgres://h:port/db?password=secret", "postgres://***"),
            ("postgres://roster@h/db?application_name=a@b", "postgres://roster@h/db?application_name=a@b"),
            ("postgres://roster:secret@a:1,b:2/db", "postgres://roster:***@a:1,b:2/db"),
            ("postgres://roster@a:1,b:2/db?password=secret", "postgres://roster@a:1,b:2/db?password=***"),
            ("postgres://roster@a:1,b:2/db", "postgres://roster@a:1,b:2/db"),
            ("sqlite:///var/lib/roster.db", "sqlite:///var/lib/roster.db"),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }
}
