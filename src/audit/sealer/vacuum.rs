//! Vacuuming of the tables that rows only pass through. The automatic vacuum of PostgreSQL looks once a minute by default; until
//! then, a busy server would leave tens of thousands of deleted rows for each batch to pass over.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, Statement};

use crate::db::Db;

/// The number of events that are sealed between two times.
const INTERVAL: u64 = 5_000;
/// Whether the role of the connection may vacuum the tables.
const MAY_VACUUM: &str = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'audit_inbox'::regclass";
/// Blocks nobody: a table that another vacuum works on is skipped, and pages are kept for new rows.
const VACUUM: &str = "VACUUM (SKIP_LOCKED, TRUNCATE FALSE) audit_inbox, total_changes";

/// The events that were sealed since the last time.
#[derive(Default)]
pub(super) struct Vacuum {
    events: u64,
}

impl Vacuum {
    /// Counts events that were sealed, and vacuums the tables if there were enough.
    pub(super) async fn count(&mut self, db: &Db, events: u64) {
        self.events += events;
        if self.events < INTERVAL {
            return;
        }
        self.events = 0;
        if let Err(error) = vacuum(db).await {
            tracing::debug!(%error, "failed to vacuum the inbox of the audit trail");
        }
    }
}

async fn vacuum(db: &Db) -> Result<(), DbErr> {
    let row = db.read().query_one_raw(Statement::from_string(DatabaseBackend::Postgres, MAY_VACUUM)).await?;
    let may_vacuum: Option<bool> = row.map(|row| row.try_get_by_index(0)).transpose()?;
    if may_vacuum == Some(true) {
        db.write().execute_unprepared(VACUUM).await?;
    }
    Ok(())
}
