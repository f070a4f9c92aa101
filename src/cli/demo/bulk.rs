//! Bulk insertion: the indexes that only reading needs are dropped and built again after all users are inserted. Maintaining them
//! row by row would cost more than all the rest.

use sea_orm::{ConnectionTrait, DatabaseBackend, EntityTrait, FromQueryResult, PaginatorTrait, Statement};

use crate::db::{Db, Transaction};
use crate::entity::user;
use crate::error::Error;

/// The number of missing users from which dropping the indexes pays off.
const MIN_MISSING_USERS: u64 = 20_000;

/// The indexes of the tables that grow with the users, except the unique ones.
const LIST_SQLITE_INDEXES: &str = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX %' \
    AND tbl_name IN ('users', 'memberships', 'attribute_values', 'audit_events')";
const LIST_POSTGRES_INDEXES: &str = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() \
    AND indexdef LIKE 'CREATE INDEX %' AND tablename IN ('users', 'memberships', 'attribute_values', 'audit_events')";

/// The table of dropped indexes. It is in the database, so that the next start builds them if this one does not end well.
const TABLE: &str = "indexes_put_off";

/// Parameters of the writer's connection while there is no data yet that a power cut could lose: it waits for the disk only at
/// checkpoints, has a larger page cache, and sorts in files.
const BULK_PRAGMAS: &str = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 16384; PRAGMA cache_size = -32768; \
    PRAGMA temp_store = FILE";
/// The parameters in normal operation.
const NORMAL_PRAGMAS: &str = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -4096; \
    PRAGMA temp_store = MEMORY";

/// A dropped index.
#[derive(FromQueryResult)]
struct DeferredIndex {
    name: String,
    sql: String,
}

/// Drops the indexes if most of the users, and enough of them, are still missing.
#[expect(clippy::disallowed_methods, reason = "indexes are not part of the audit trail")]
pub async fn begin(db: &Db, users: u64) -> Result<(), Error> {
    let existing = user::Entity::find().count(db.read()).await?;
    if users.saturating_sub(existing) < existing.max(MIN_MISSING_USERS) {
        return Ok(());
    }
    let transaction = db.begin().await?;
    let indexes = if db.is_postgres() { LIST_POSTGRES_INDEXES } else { LIST_SQLITE_INDEXES };
    transaction
        .execute_unprepared(&format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (name text PRIMARY KEY, sql text NOT NULL); \
             INSERT INTO {TABLE} {indexes}"
        ))
        .await?;
    for DeferredIndex { name, .. } in deferred_indexes(&transaction).await? {
        transaction.execute_unprepared(&format!("DROP INDEX IF EXISTS {name}")).await?;
    }
    commit(transaction).await?;
    if !db.is_postgres() {
        db.write().execute_unprepared(BULK_PRAGMAS).await?;
    }
    Ok(())
}

/// Returns whether indexes are dropped, by this start or by one that did not end well.
pub async fn is_under_way(db: &Db) -> Result<bool, Error> {
    let tables = if db.is_postgres() {
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name"
    };
    let statement = Statement::from_string(db.read().get_database_backend(), format!("{tables} = '{TABLE}'"));
    Ok(db.read().query_one_raw(statement).await?.is_some())
}

/// Builds the dropped indexes one by one.
#[expect(clippy::disallowed_methods, reason = "indexes are not part of the audit trail")]
pub async fn end(db: &Db) -> Result<(), Error> {
    for DeferredIndex { name, sql } in deferred_indexes(db.read()).await? {
        let transaction = db.begin().await?;
        disable_statement_timeout(&transaction).await?;
        transaction.execute_unprepared(&sql).await?;
        transaction.execute_unprepared(&format!("DELETE FROM {TABLE} WHERE name = '{name}'")).await?;
        commit(transaction).await?;
    }
    db.write().execute_unprepared(&format!("DROP TABLE {TABLE}")).await?;
    if !db.is_postgres() {
        db.write().execute_unprepared(NORMAL_PRAGMAS).await?;
    }
    Ok(())
}

async fn deferred_indexes(db: &impl ConnectionTrait) -> Result<Vec<DeferredIndex>, Error> {
    let all = Statement::from_string(db.get_database_backend(), format!("SELECT name, sql FROM {TABLE} ORDER BY name"));
    Ok(DeferredIndex::find_by_statement(all).all(db).await?)
}

/// Removes the statement timeout for a transaction, as building an index may take longer than a request.
async fn disable_statement_timeout(transaction: &Transaction) -> Result<(), Error> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "indexes are not part of the audit trail")]
async fn commit(transaction: Transaction) -> Result<(), Error> {
    Ok(transaction.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{DatabaseSettings, url_of};

    async fn indexes(db: &Db) -> Vec<(String, String)> {
        let all =
            Statement::from_string(db.read().get_database_backend(), format!("{LIST_SQLITE_INDEXES} ORDER BY name"));
        let found = DeferredIndex::find_by_statement(all).all(db.read()).await.unwrap();
        found.into_iter().map(|index| (index.name, index.sql)).collect()
    }

    #[tokio::test]
    async fn dropped_indexes_are_built_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings { url: url_of(&folder.path().join("roster.db")), connections: 1 };
        let db = Db::open(&settings).await.unwrap();
        let before = indexes(&db).await;
        assert!(before.len() > 10, "{before:?}");

        begin(&db, 1_000).await.unwrap();
        assert!(!is_under_way(&db).await.unwrap(), "for so few it is not worth it");
        begin(&db, 1_000_000).await.unwrap();
        assert!(is_under_way(&db).await.unwrap());
        assert!(indexes(&db).await.is_empty());
        db.close().await.unwrap();

        let db = Db::open(&settings).await.unwrap();
        assert!(is_under_way(&db).await.unwrap());
        end(&db).await.unwrap();
        assert!(!is_under_way(&db).await.unwrap());
        assert_eq!(indexes(&db).await, before);
    }
}
