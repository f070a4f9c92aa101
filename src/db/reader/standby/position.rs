//! Positions in the write-ahead log of PostgreSQL.

use std::sync::Arc;

use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};

use crate::db::Reader;
use crate::db::pool::Connections;

/// Reads the position up to which the primary has written everything that was committed. With `synchronous_commit = off`, a
/// commit is visible before it is flushed.
const WRITTEN: &str = "SELECT system_identifier, ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::int, \
                       (lsn - '0/0'::pg_lsn)::int8, concat_ws('.', current_database(), current_schema()) \
                       FROM pg_control_system(), (SELECT CASE current_setting('synchronous_commit') WHEN 'off' \
                       THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END AS lsn) AS log";

/// Reads the position up to which a standby has replayed the log. After a promotion, its control file has the former timeline for
/// a while. The timeline that it streams is that of all that it replays, but only some roles see it; without a stream, it is
/// unknown. No row then, nor on a server that replays nothing.
const REPLAYED: &str = "SELECT system_identifier, greatest(timeline_id, min_recovery_end_timeline, received_tli), \
                        (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::int8, \
                        concat_ws('.', current_database(), current_schema()) \
                        FROM pg_control_system(), pg_control_checkpoint(), \
                        pg_control_recovery() LEFT JOIN pg_stat_wal_receiver ON true \
                        WHERE pg_is_in_recovery() AND pg_last_wal_replay_lsn() IS NOT NULL \
                        AND (received_tli IS NOT NULL OR NOT pg_has_role('pg_read_all_stats', 'USAGE'))";

/// A position in the log of the primary.
pub(super) struct LogPosition {
    history: History,
    /// The number of bytes before it.
    bytes: i64,
}

/// The log that a position is in, and the tables that it is about.
#[derive(PartialEq, Eq)]
struct History {
    /// The identifier that a primary and its standbys have in common.
    system: i64,
    /// The number of the timeline, which a promotion increments. Positions of two timelines cannot be compared: a standby that
    /// follows the former primary may have replayed what the new one never had.
    timeline: i32,
    /// The database and the schema. A standby has all those of the primary, and a URL may name another one.
    schema: String,
}

/// How far a standby is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    /// It has replayed everything up to the position.
    CaughtUp,
    Behind,
    /// It does not replay the log of the primary.
    Foreign,
}

impl LogPosition {
    /// Reads the current position of the primary.
    pub(super) async fn written(primary: &Reader) -> Result<Self, DbErr> {
        let row = primary.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, WRITTEN)).await?;
        Self::of(&row.ok_or_else(|| DbErr::RecordNotFound("the position of the primary".to_owned()))?)
    }

    /// Returns the number of bytes before the position.
    pub(super) const fn bytes(&self) -> i64 {
        self.bytes
    }

    /// Returns how far a standby is.
    pub(super) async fn replay_on(&self, standby: &Arc<Connections<PgConnection>>) -> Result<Replay, DbErr> {
        let row = standby.query_one(Statement::from_string(DatabaseBackend::Postgres, REPLAYED)).await?;
        let replayed = row.as_ref().map(Self::of).transpose()?;
        Ok(match replayed {
            Some(replayed) if replayed.history != self.history => Replay::Foreign,
            Some(replayed) if replayed.bytes >= self.bytes => Replay::CaughtUp,
            Some(_) => Replay::Behind,
            None => Replay::Foreign,
        })
    }

    fn of(row: &QueryResult) -> Result<Self, DbErr> {
        let (system, timeline, schema) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(3)?);
        Ok(Self { history: History { system, timeline, schema }, bytes: row.try_get_by_index(2)? })
    }
}
