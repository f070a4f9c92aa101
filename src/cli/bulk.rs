//! Bulk loads, of an import or of the demo: the indexes that only reading needs are dropped and built again after all users are
//! loaded. Maintaining them row by row would cost more than all the rest.

use sea_orm::{ConnectionTrait, DatabaseBackend, EntityTrait, FromQueryResult, PaginatorTrait, Statement};

use crate::db::{Db, Transaction};
use crate::entity::user;
use crate::error::Error;

/// The number of new users from which dropping the indexes pays off.
const MIN_NEW_USERS: u64 = 20_000;

/// The indexes of the tables that grow with the users, except the unique ones.
const LIST_SQLITE_INDEXES: &str = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX %' \
    AND tbl_name IN ('users', 'memberships', 'attribute_values', 'audit_events')";
const LIST_POSTGRES_INDEXES: &str = "SELECT indexname::text AS name, indexdef AS sql FROM pg_indexes \
    WHERE schemaname = current_schema() AND indexdef LIKE 'CREATE INDEX %' \
    AND tablename IN ('users', 'memberships', 'attribute_values', 'audit_events')";

/// The table of dropped indexes. It is in the database, so that another command builds them if this one does not end well.
const TABLE: &str = "indexes_put_off";

/// A dropped index.
#[derive(FromQueryResult)]
struct DeferredIndex {
    name: String,
    sql: String,
}

/// Begins a load. Drops the indexes if the new users are many, and at least as many as those that exist.
pub async fn begin(db: &Db, new_users: u64) -> Result<(), Error> {
    db.begin_load().await?;
    let existing = user::Entity::find().count(db.read()).await?;
    if new_users < existing.max(MIN_NEW_USERS) {
        return Ok(());
    }
    // A long transaction of a running server may keep an index from being dropped. The load is only slower with it.
    if let Err(error) = drop_indexes(db).await {
        tracing::warn!(error = error.for_log(), "failed to drop all indexes during the load, which makes it slower");
    }
    Ok(())
}

/// Drops the indexes one by one, so that no transaction waits for two tables.
#[expect(clippy::disallowed_methods, reason = "indexes are not part of the audit trail")]
async fn drop_indexes(db: &Db) -> Result<(), Error> {
    let create = format!("CREATE TABLE IF NOT EXISTS {TABLE} (name text PRIMARY KEY, sql text NOT NULL)");
    db.write().execute_unprepared(&create).await?;
    let list = if db.is_postgres() { LIST_POSTGRES_INDEXES } else { LIST_SQLITE_INDEXES };
    let list = Statement::from_string(db.read().get_database_backend(), list);
    for DeferredIndex { name, sql } in DeferredIndex::find_by_statement(list).all(db.read()).await? {
        let transaction = db.begin().await?;
        let insert = format!("INSERT INTO {TABLE} (name, sql) VALUES ($1, $2)");
        let values = [name.as_str().into(), sql.into()];
        let backend = transaction.get_database_backend();
        transaction.execute_raw(Statement::from_sql_and_values(backend, insert, values)).await?;
        transaction.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Returns whether indexes are dropped, by a load that is under way or by one that did not end well.
pub async fn has_dropped_indexes(db: &Db) -> Result<bool, Error> {
    let tables = if db.is_postgres() {
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name"
    };
    let statement = Statement::from_string(db.read().get_database_backend(), format!("{tables} = '{TABLE}'"));
    Ok(db.read().query_one_raw(statement).await?.is_some())
}

/// Ends a load: builds the dropped indexes, and updates the statistics of the planner. Loaded rows are durable afterwards.
pub async fn end(db: &Db) -> Result<(), Error> {
    let built = build_indexes(db).await;
    db.end_load().await?;
    built?;
    db.analyze().await
}

/// Builds the indexes that a load left out which did not end well. If that fails, logs it: the directory is only slower.
pub async fn recover(db: &Db) {
    match has_dropped_indexes(db).await {
        Ok(false) => return,
        Ok(true) => tracing::info!("building the indexes that an interrupted load left out"),
        Err(error) => {
            let error = error.for_log();
            return tracing::warn!(error, "failed to look for indexes that an interrupted load left out");
        }
    }
    if let Err(error) = build_indexes(db).await {
        tracing::warn!(error = error.for_log(), "failed to build the indexes that an interrupted load left out");
    }
}

/// Builds the dropped indexes one by one. Another process may do so at the same time.
async fn build_indexes(db: &Db) -> Result<(), Error> {
    if !has_dropped_indexes(db).await? {
        return Ok(());
    }
    let list = Statement::from_string(db.read().get_database_backend(), format!("SELECT name, sql FROM {TABLE}"));
    for DeferredIndex { name, .. } in DeferredIndex::find_by_statement(list).all(db.read()).await? {
        build_index(db, &name).await?;
    }
    db.write().execute_unprepared(&format!("DROP TABLE IF EXISTS {TABLE}")).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "indexes are not part of the audit trail")]
async fn build_index(db: &Db, name: &str) -> Result<(), Error> {
    let transaction = db.begin().await?;
    disable_statement_timeout(&transaction).await?;
    // The process that deletes the row builds the index. Another one waits for the row, and does not find it then.
    let delete = format!("DELETE FROM {TABLE} WHERE name = $1 RETURNING name, sql");
    let delete = Statement::from_sql_and_values(transaction.get_database_backend(), delete, [name.into()]);
    if let Some(DeferredIndex { sql, .. }) = DeferredIndex::find_by_statement(delete).one(&transaction).await? {
        transaction.execute_unprepared(&sql).await?;
    }
    Ok(transaction.commit().await?)
}

/// Removes the statement timeout for a transaction, as building an index may take longer than a request.
async fn disable_statement_timeout(transaction: &Transaction) -> Result<(), Error> {
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    }
    Ok(())
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
        let settings = DatabaseSettings::new(url_of(&folder.path().join("roster.db")), 1);
        let db = Db::open(&settings).await.unwrap();
        let before = indexes(&db).await;
        assert!(before.len() > 10, "{before:?}");

        begin(&db, 1_000).await.unwrap();
        assert!(!has_dropped_indexes(&db).await.unwrap(), "for so few it is not worth it");
        begin(&db, 1_000_000).await.unwrap();
        assert!(has_dropped_indexes(&db).await.unwrap());
        assert!(indexes(&db).await.is_empty());
        db.close().await.unwrap();

        let db = Db::open(&settings).await.unwrap();
        assert!(has_dropped_indexes(&db).await.unwrap());
        end(&db).await.unwrap();
        assert!(!has_dropped_indexes(&db).await.unwrap());
        assert_eq!(indexes(&db).await, before);
    }
}
