//! Copies of a SQLite database that other connections may be writing.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, Connection as _};
use sea_orm::{DbErr, RuntimeErr};

use crate::error::Error;

/// The time to wait for a lock, such as that of a checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Copies the database to a file, which must be empty, as it is at one moment, without free pages. Writers do not wait for it: the
/// copy reads one snapshot. Dropping the future does not end the copy, only the process does.
///
/// # Errors
/// `Unavailable` if the database cannot be opened; `Internal` if it cannot be read, or there is no room for the copy.
pub async fn copy_sqlite(url: &str, to: &Path) -> Result<(), Error> {
    let options = SqliteConnectOptions::from_str(url).map_err(Error::internal)?;
    let options = options.create_if_missing(false).busy_timeout(BUSY_TIMEOUT).pragma("cache_size", "-16384");
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(unavailable)?;
    let to = to.to_str().ok_or_else(|| Error::internal("the path of the copy is not UTF-8"))?;
    let copied = sqlx::query("VACUUM INTO ?").bind(to).execute(&mut connection).await;
    connection.close().await.map_err(unavailable)?;
    copied.map(|_| ()).map_err(Error::internal)
}

fn unavailable(error: sqlx::Error) -> Error {
    DbErr::Conn(RuntimeErr::SqlxError(error.into())).into()
}
