//! The servers that a URL of PostgreSQL names: one or several hosts, directly or through a connection pooler.

use std::str::FromStr;

use sea_orm::sqlx::{self, ConnectOptions, postgres::PgConnectOptions};
use url::Url;

/// The parameter that says which of the hosts is used, as in libpq.
pub(super) const TARGET_SESSION_ATTRS: &str = "target_session_attrs";
/// The parameter that says how a connection pooler shares its connections. It is Roster's own.
pub(super) const POOLER: &str = "pooler";
pub(super) const TARGETS: [&str; 3] = ["any", "primary", "read-write"];
pub(super) const POOLERS: [&str; 2] = ["session", "transaction"];

/// How a connection pooler shares the connections of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooler {
    /// A client has a connection until it disconnects.
    Session,
    /// A client has a connection for one transaction.
    Transaction,
}

/// The servers of a URL.
pub(super) struct Servers {
    /// The options of the connections to each host.
    pub(super) hosts: Vec<PgConnectOptions>,
    /// Whether only a server that accepts writes is used. The default for several hosts.
    pub(super) only_writable: bool,
    pub(super) pooler: Option<Pooler>,
}

impl Servers {
    /// Parses a URL that [`check_url`](super::check_url) has accepted.
    pub(super) fn parse(url: &str) -> Result<Self, sqlx::Error> {
        let hosts =
            urls_of_hosts(url).iter().map(|url| PgConnectOptions::from_str(url)).collect::<Result<Vec<_>, _>>()?;
        let hosts: Vec<_> = hosts.into_iter().map(ConnectOptions::disable_statement_logging).collect();
        let only_writable = match parameter(url, TARGET_SESSION_ATTRS) {
            Some(target) => target != "any",
            None => hosts.len() > 1,
        };
        Ok(Self { hosts, only_writable, pooler: pooler_of(url) })
    }
}

/// Returns the URL of each host of a URL, without the parameters that only Roster knows.
#[must_use]
pub fn urls_of_hosts(url: &str) -> Vec<String> {
    let list = HostList::split(url);
    list.hosts.iter().map(|host| without_own_parameters(&list.with_host(host))).collect()
}

/// Returns whether the connections of a URL go through a connection pooler.
#[must_use]
pub fn has_pooler(url: &str) -> bool {
    pooler_of(url).is_some()
}

fn pooler_of(url: &str) -> Option<Pooler> {
    match parameter(url, POOLER)?.as_str() {
        "transaction" => Some(Pooler::Transaction),
        _ => Some(Pooler::Session),
    }
}

/// Returns the last value of a parameter of a URL.
fn parameter(url: &str, name: &str) -> Option<String> {
    let list = HostList::split(url);
    let parsed = Url::parse(&list.with_host(list.hosts.first()?)).ok()?;
    parsed.query_pairs().filter(|(known, _)| known == name).last().map(|(_, value)| value.into_owned())
}

fn without_own_parameters(url: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    let is_own = |name: &str| [TARGET_SESSION_ATTRS, POOLER].contains(&name);
    if !parsed.query_pairs().any(|(name, _)| is_own(&name)) {
        return url.to_owned();
    }
    let others: Vec<(String, String)> = parsed.query_pairs().into_owned().filter(|(name, _)| !is_own(name)).collect();
    if others.is_empty() {
        parsed.set_query(None);
    } else {
        parsed.query_pairs_mut().clear().extend_pairs(others);
    }
    parsed.into()
}

/// The parts of a URL that may list several hosts, which other parsers refuse.
pub(super) struct HostList<'u> {
    /// The scheme and the login.
    before: String,
    /// The hosts, with their ports.
    pub(super) hosts: Vec<&'u str>,
    /// The path and the query.
    after: &'u str,
}

impl<'u> HostList<'u> {
    pub(super) fn split(url: &'u str) -> Self {
        let Some((scheme, rest)) = url.split_once("//") else {
            return Self { before: url.to_owned(), hosts: vec![""], after: "" };
        };
        let (authority, after) = rest.find(['/', '?']).map_or((rest, ""), |end| rest.split_at(end));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        Self { before: format!("{scheme}//{login}"), hosts: hosts.split(',').collect(), after }
    }

    /// Returns the URL with one host.
    pub(super) fn with_host(&self, host: &str) -> String {
        format!("{}{host}{}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_a_url_of_its_own() {
        let url =
            "postgres://roster:p%40ss@a:5432,[::1]:5433,c/db?sslmode=require&target_session_attrs=any&pooler=session";
        assert_eq!(
            urls_of_hosts(url),
            ["a:5432", "[::1]:5433", "c"].map(|host| format!("postgres://roster:p%40ss@{host}/db?sslmode=require"))
        );
        let servers = Servers::parse(url).unwrap();
        assert_eq!((servers.hosts.len(), servers.only_writable, servers.pooler), (3, false, Some(Pooler::Session)));
        assert_eq!(urls_of_hosts("postgres://a,b/db"), ["postgres://a/db", "postgres://b/db"]);
        assert!(Servers::parse("postgres://a,b/db").unwrap().only_writable);
        assert_eq!(urls_of_hosts("postgres://a/db?pooler=transaction"), ["postgres://a/db"]);
        let plain = "postgres:///db?host=/run/postgresql&user=roster";
        assert_eq!(urls_of_hosts(plain), [plain]);
        assert!(!Servers::parse("postgres://a/db").unwrap().only_writable && !has_pooler(plain));
    }
}
