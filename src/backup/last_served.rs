//! The last audit event that this machine has served, in a file beside the server key: it tells an older copy of the database from
//! the one that was served last.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};

use crate::audit;
use crate::db::Db;
use crate::entity::audit_event::{self, Column};
use crate::private_file;
use crate::scalar::now;

/// The last event that was served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastServed {
    /// The number of the event.
    pub event: i64,
    /// The hash of the event, in hexadecimal.
    pub hash: String,
    /// When it was noted.
    pub at: DateTime<Utc>,
}

impl LastServed {
    /// Returns the path of the file in a data directory.
    #[must_use]
    pub fn file_in(data_dir: &Path) -> PathBuf {
        data_dir.join("roster.position")
    }

    /// Reads the file; `None` if it does not exist.
    ///
    /// # Errors
    /// That the file cannot be read.
    pub fn read(file: &Path) -> anyhow::Result<Option<Self>> {
        let json = match std::fs::read(file) {
            Err(error) if private_file::is_missing(&error) => return Ok(None),
            json => json.with_context(|| file.display().to_string())?,
        };
        Ok(Some(serde_json::from_slice(&json).with_context(|| file.display().to_string())?))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        Ok(private_file::replace(file, &serde_json::to_vec(self)?)?)
    }

    /// Returns the last event of a database; `None` if there is none yet.
    ///
    /// # Errors
    /// That the database cannot be read.
    pub async fn of(db: &Db) -> anyhow::Result<Option<Self>> {
        let audit::Head { seq, hash } = audit::Head::current(db.read()).await?;
        Ok((seq > 0).then(|| Self { event: seq, hash: hex::encode(hash), at: now() }))
    }

    /// Returns a warning if a database does not contain the event: it is older than what was served last, or is another one.
    ///
    /// # Errors
    /// That the database cannot be read.
    pub async fn warning(&self, db: &Db) -> anyhow::Result<Option<String>> {
        let hash = audit_event::Entity::find()
            .select_only()
            .column(Column::Hash)
            .filter(Column::Seq.eq(self.event))
            .into_tuple::<Vec<u8>>()
            .one(db.read())
            .await?;
        if hash.is_some_and(|hash| hex::encode(hash) == self.hash) {
            return Ok(None);
        }
        let last = Self::of(db).await?.map_or(0, |last| last.event);
        Ok(Some(format!(
            "the database is older than what this machine last served, or is another one: it does not contain audit event {} \
             of {}, and ends with event {last}",
            self.event,
            self.at.format("%Y-%m-%d %H:%M:%S UTC"),
        )))
    }
}
