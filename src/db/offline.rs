//! A connection without a database.

use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, Statement};

/// Refuses every statement: what is decided with it depends on nothing but what the caller has read already.
#[derive(Clone, Copy, Debug)]
pub struct Offline;

fn refused() -> DbErr {
    DbErr::Custom("a statement without a database".to_owned())
}

#[async_trait::async_trait]
impl ConnectionTrait for Offline {
    fn get_database_backend(&self) -> DatabaseBackend {
        DatabaseBackend::Postgres
    }

    async fn execute_raw(&self, _: Statement) -> Result<ExecResult, DbErr> {
        Err(refused())
    }

    async fn execute_unprepared(&self, _: &str) -> Result<ExecResult, DbErr> {
        Err(refused())
    }

    async fn query_one_raw(&self, _: Statement) -> Result<Option<QueryResult>, DbErr> {
        Err(refused())
    }

    async fn query_all_raw(&self, _: Statement) -> Result<Vec<QueryResult>, DbErr> {
        Err(refused())
    }
}
