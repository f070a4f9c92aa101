//! Entering very many people: the indexes that only reading needs are put off until everybody is there. Kept in order row by
//! row, they would cost more than all the rest.

use sea_orm::{
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, FromQueryResult, PaginatorTrait, Statement,
};

use crate::db::Db;
use crate::entity::user;
use crate::error::Error;

/// From how many people on it is worth it.
const MANY: u64 = 20_000;

/// The indexes of the tables that grow with the people, but for those that keep values unique.
const SQLITE: &str = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX %' \
    AND tbl_name IN ('users', 'memberships', 'attribute_values', 'audit_events')";
const POSTGRES: &str = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() \
    AND indexdef LIKE 'CREATE INDEX %' AND tablename IN ('users', 'memberships', 'attribute_values', 'audit_events')";

/// What was put off stands in the database, so that a start that does not end well leaves it to the next one.
const TABLE: &str = "indexes_put_off";

/// The writer's connection while there is nothing yet that a power cut could take from anybody: it waits for the disk at
/// checkpoints alone, has more pages in memory, and sorts in files.
const HASTY: &str = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 16384; PRAGMA cache_size = -32768; \
    PRAGMA temp_store = FILE";
/// As it was before.
const CAREFUL: &str = "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -4096; \
    PRAGMA temp_store = MEMORY";

/// An index that was put off.
#[derive(FromQueryResult)]
struct DeferredIndex {
    name: String,
    sql: String,
}

/// Puts the indexes off where most of so many people are still missing.
#[expect(clippy::disallowed_methods, reason = "indexes are nobody's data")]
pub async fn begin(db: &Db, users: u64) -> Result<(), Error> {
    let there = user::Entity::find().count(db.read()).await?;
    if users.saturating_sub(there) < there.max(MANY) {
        return Ok(());
    }
    let transaction = db.begin().await?;
    let indexes = if db.is_postgres() { POSTGRES } else { SQLITE };
    transaction
        .execute_unprepared(&format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (name text PRIMARY KEY, sql text NOT NULL); \
             INSERT INTO {TABLE} {indexes}"
        ))
        .await?;
    for DeferredIndex { name, .. } in listed(&transaction).await? {
        transaction.execute_unprepared(&format!("DROP INDEX IF EXISTS {name}")).await?;
    }
    commit(transaction).await?;
    if !db.is_postgres() {
        db.write().execute_unprepared(HASTY).await?;
    }
    Ok(())
}

/// Whether indexes are put off, now or by a start that did not end well.
pub async fn is_under_way(db: &Db) -> Result<bool, Error> {
    let tables = if db.is_postgres() {
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name"
    };
    let there = Statement::from_string(db.read().get_database_backend(), format!("{tables} = '{TABLE}'"));
    Ok(db.read().query_one_raw(there).await?.is_some())
}

/// Makes the indexes that were put off, one by one.
#[expect(clippy::disallowed_methods, reason = "indexes are nobody's data")]
pub async fn end(db: &Db) -> Result<(), Error> {
    for DeferredIndex { name, sql } in listed(db.read()).await? {
        let transaction = db.begin().await?;
        take_time(&transaction).await?;
        transaction.execute_unprepared(&sql).await?;
        transaction.execute_unprepared(&format!("DELETE FROM {TABLE} WHERE name = '{name}'")).await?;
        commit(transaction).await?;
    }
    db.write().execute_unprepared(&format!("DROP TABLE {TABLE}")).await?;
    if !db.is_postgres() {
        db.write().execute_unprepared(CAREFUL).await?;
    }
    Ok(())
}

async fn listed(db: &impl ConnectionTrait) -> Result<Vec<DeferredIndex>, Error> {
    let all = Statement::from_string(db.get_database_backend(), format!("SELECT name, sql FROM {TABLE} ORDER BY name"));
    Ok(DeferredIndex::find_by_statement(all).all(db).await?)
}

/// Lets a transaction's statements take longer than those of requests may.
async fn take_time(transaction: &DatabaseTransaction) -> Result<(), Error> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "indexes are nobody's data")]
async fn commit(transaction: DatabaseTransaction) -> Result<(), Error> {
    Ok(transaction.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{DatabaseSettings, url_of};

    async fn indexes(db: &Db) -> Vec<(String, String)> {
        let all = Statement::from_string(db.read().get_database_backend(), format!("{SQLITE} ORDER BY name"));
        let found = DeferredIndex::find_by_statement(all).all(db.read()).await.unwrap();
        found.into_iter().map(|index| (index.name, index.sql)).collect()
    }

    #[tokio::test]
    async fn what_is_put_off_is_made_again_by_the_next_start() {
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
