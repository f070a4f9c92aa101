//! The directory by hand-written SQL: one statement for each query, its rows as the JSON that Roster returns.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::Result;
use roster::db::is_postgres;
use sea_orm::sqlx::postgres::PgPoolOptions;
use sea_orm::sqlx::query::QueryAs;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::sqlx::types::chrono::Utc;
use sea_orm::sqlx::{AssertSqlSafe, PgPool, SqlitePool, query_as, query_scalar};
use serde::Serialize;
use uuid::Uuid;

const LICENSE: &str = "SELECT u.license_id FROM sessions s JOIN users u ON u.id = s.user_id \
    JOIN licenses l ON l.id = u.license_id WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.is_active \
    AND l.starts_on <= $3 AND (l.expires_on IS NULL OR l.expires_on >= $3)";

const USER: &str = "SELECT u.id, u.username, u.first_name, u.last_name, u.email, u.position, u.user_type, i.id, i.name \
    FROM users u LEFT JOIN institutions i ON i.id = u.institution_id WHERE u.license_id = $1 AND u.is_active AND u.id = $2";

const PAGE: &str = "SELECT u.id, u.username, u.first_name, u.last_name, u.email, u.position, u.user_type, i.id, i.name \
    FROM users u LEFT JOIN institutions i ON i.id = u.institution_id WHERE u.license_id = $1 AND u.is_active \
    ORDER BY u.last_name_key, u.first_name_key, u.id LIMIT 50";

const GROUPS: &str = "SELECT m.user_id, g.id, g.name FROM memberships m JOIN groups g ON g.id = m.group_id \
    WHERE m.user_id IN (USERS) ORDER BY g.name_key, g.id";

const NAMES_AFTER: &str = "SELECT id, username FROM users WHERE license_id = $1 AND is_active \
    AND (last_name_key, first_name_key, id) > ($2, $3, $4) ORDER BY last_name_key, first_name_key, id LIMIT 50";

const CALLED: &str = "SELECT id, first_name, last_name FROM users WHERE license_id = $1 AND is_active \
    AND last_name_key >= $2 AND last_name_key < $3 ORDER BY last_name_key, first_name_key, id LIMIT 20";

/// The pool of one of the two databases. Their drivers have no type in common, but the statements are the same.
pub enum Directory {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

macro_rules! on {
    ($directory:expr, $pool:ident => $rows:expr) => {
        match $directory {
            Directory::Sqlite($pool) => $rows,
            Directory::Postgres($pool) => $rows,
        }
    };
}

/// The position of a user in the order of names.
pub struct Place {
    pub last: String,
    pub first: String,
    pub id: Uuid,
}

type UserRow =
    (Uuid, Option<String>, String, String, Option<String>, Option<String>, String, Option<Uuid>, Option<String>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    id: Uuid,
    username: Option<String>,
    first_name: String,
    last_name: String,
    email: Option<String>,
    position: Option<String>,
    #[serde(rename = "userType")]
    kind: String,
    institution: Option<Named>,
    groups: Vec<Named>,
}

#[derive(Serialize)]
pub struct Named {
    id: Uuid,
    name: String,
}

#[derive(Serialize)]
pub struct Username {
    id: Uuid,
    username: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Called {
    id: Uuid,
    first_name: String,
    last_name: String,
}

/// The rows of a page.
#[derive(Serialize)]
pub struct Nodes<T> {
    nodes: Vec<T>,
}

impl Directory {
    /// Opens as many connections as Roster does by default.
    pub async fn open(url: &str) -> Result<Self> {
        const CONNECTIONS: u32 = 4;
        if is_postgres(url) {
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
            return Ok(Self::Postgres(pool.connect(url).await?));
        }
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
        let options = SqliteConnectOptions::from_str(url)?.pragma("query_only", "ON");
        Ok(Self::Sqlite(pool.connect_with(options).await?))
    }

    /// Returns the license of the user of a token.
    pub async fn license_of(&self, token_hash: &[u8]) -> Result<Option<Uuid>> {
        let now = Utc::now();
        let today = now.date_naive();
        Ok(on!(self, pool => query_scalar(LICENSE).bind(token_hash).bind(now).bind(today).fetch_optional(pool).await?))
    }

    pub async fn user(&self, license: Uuid, id: Uuid) -> Result<Option<User>> {
        let row: Option<UserRow> = on!(self, pool => query_as(USER).bind(license).bind(id).fetch_optional(pool).await?);
        Ok(self.with_groups(row).await?.pop())
    }

    pub async fn page(&self, license: Uuid) -> Result<Nodes<User>> {
        let rows: Vec<UserRow> = on!(self, pool => query_as(PAGE).bind(license).fetch_all(pool).await?);
        Ok(Nodes { nodes: self.with_groups(rows).await? })
    }

    pub async fn names_after(&self, license: Uuid, place: &Place) -> Result<Nodes<Username>> {
        let Place { last, first, id } = place;
        let rows: Vec<(Uuid, Option<String>)> = on!(self, pool => {
            query_as(NAMES_AFTER).bind(license).bind(last).bind(first).bind(id).fetch_all(pool).await?
        });
        Ok(Nodes { nodes: rows.into_iter().map(|(id, username)| Username { id, username }).collect() })
    }

    /// Returns the users whose last name begins with a prefix.
    pub async fn called(&self, license: Uuid, prefix: &str) -> Result<Nodes<Called>> {
        let end = format!("{prefix}{}", char::MAX);
        let rows: Vec<(Uuid, String, String)> =
            on!(self, pool => query_as(CALLED).bind(license).bind(prefix).bind(end).fetch_all(pool).await?);
        let called = |(id, first_name, last_name)| Called { id, first_name, last_name };
        Ok(Nodes { nodes: rows.into_iter().map(called).collect() })
    }

    async fn with_groups(&self, rows: impl IntoIterator<Item = UserRow>) -> Result<Vec<User>> {
        let mut users: Vec<User> = rows.into_iter().map(User::of).collect();
        let mut groups: HashMap<Uuid, Vec<Named>> = HashMap::new();
        for (user_id, id, name) in self.groups(&users).await? {
            groups.entry(user_id).or_default().push(Named { id, name });
        }
        for user in &mut users {
            user.groups = groups.remove(&user.id).unwrap_or_default();
        }
        Ok(users)
    }

    async fn groups(&self, users: &[User]) -> Result<Vec<(Uuid, Uuid, String)>> {
        let ids = users.iter().map(|user| user.id);
        Ok(match self {
            Self::Postgres(pool) => {
                let groups = GROUPS.replace("IN (USERS)", "= ANY ($1)");
                query_as(AssertSqlSafe(groups)).bind(ids.collect::<Vec<_>>()).fetch_all(pool).await?
            }
            Self::Sqlite(pool) => {
                let places = vec!["?"; users.len()].join(", ");
                let groups = query_as(AssertSqlSafe(GROUPS.replace("USERS", &places)));
                ids.fold(groups, QueryAs::bind).fetch_all(pool).await?
            }
        })
    }
}

impl User {
    fn of(row: UserRow) -> Self {
        let (id, username, first_name, last_name, email, position, kind, institution_id, institution) = row;
        let institution = institution_id.zip(institution).map(|(id, name)| Named { id, name });
        Self { id, username, first_name, last_name, email, position, kind, institution, groups: Vec::new() }
    }
}

/// Returns Roster's response to one root field.
pub fn json_of(field: &str, value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&HashMap::from([("data", HashMap::from([(field, value)]))]))?)
}
