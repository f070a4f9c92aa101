//! Whole rows: inserts of every column, updates of the changed ones, and deletions of the oldest.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use sea_orm::sea_query::{Condition, Expr, Query, SimpleExpr};
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityName,
    EntityTrait, IntoActiveModel, Iterable, ModelTrait, PrimaryKeyToColumn, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Statement,
};

/// The active model of a row.
type Active<M> = <<M as ModelTrait>::Entity as EntityTrait>::ActiveModel;

/// Returns a row as an active model that writes every column.
pub fn active<M>(row: M) -> Active<M>
where
    M: ModelTrait + IntoActiveModel<Active<M>>,
{
    row.into_active_model().reset_all()
}

/// Inserts a row.
///
/// # Errors
/// The violation of a constraint, or that the database cannot be reached.
pub async fn insert<M>(connection: &impl ConnectionTrait, row: M) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<Active<M>>,
    Active<M>: ActiveModelBehavior + Send,
{
    let statement = insertion(connection.get_database_backend(), &row);
    connection.execute_raw(statement).await?;
    Ok(())
}

/// Returns the statement that inserts a row. Its text is the same for each row of a table, and is built only once.
#[must_use]
pub fn insertion<M>(backend: DatabaseBackend, row: &M) -> Statement
where
    M: ModelTrait + IntoActiveModel<Active<M>>,
{
    static TEXTS: RwLock<BTreeMap<(&str, bool), String>> = RwLock::new(BTreeMap::new());
    let key = (M::Entity::default().table_name(), backend == DatabaseBackend::Postgres);
    let known = TEXTS.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    let text = known.unwrap_or_else(|| {
        let text = M::Entity::insert(active(row.clone())).build(backend).sql;
        TEXTS.write().unwrap_or_else(PoisonError::into_inner).insert(key, text.clone());
        text
    });
    let values = <M::Entity as EntityTrait>::Column::iter().map(|column| row.get(column));
    Statement::from_sql_and_values(backend, text, values)
}

/// Updates the columns of a row in which it differs from `old`, the row as it is stored. The other columns are left out, because
/// SQLite would write an index of each column that is named, whether its value changes or not.
///
/// # Errors
/// `RecordNotUpdated` if there is no row with the primary key; the violation of a constraint, or that the database cannot be
/// reached.
pub async fn update<M>(connection: &impl ConnectionTrait, old: &M, new: M) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<Active<M>>,
    Active<M>: ActiveModelBehavior + Send,
{
    let columns = <M::Entity as EntityTrait>::Column::iter();
    let changed: Vec<_> = columns.filter(|column| old.get(*column) != new.get(*column)).collect();
    let mut row = new.into_active_model();
    for column in changed {
        row.reset(column);
    }
    row.update_without_returning(connection).await?;
    Ok(())
}

/// Returns the statement that updates a row as [`update`] does. The row must be locked: nothing tells whether it exists.
#[must_use]
pub fn change<M: ModelTrait>(backend: DatabaseBackend, old: &M, new: &M) -> Statement {
    let mut update = Query::update();
    update.table(M::Entity::default().table_ref());
    for column in <M::Entity as EntityTrait>::Column::iter() {
        let value = new.get(column);
        if old.get(column) != value {
            update.value(column, column.save_as(Expr::val(value)));
        }
    }
    for key in <M::Entity as EntityTrait>::PrimaryKey::iter() {
        let column = key.into_column();
        update.and_where(column.eq(old.get(column)));
    }
    backend.build(&update)
}

/// Returns one statement of SQLite that runs two: a visit to its thread takes as long as a small statement. The second one does not
/// run if the first one fails.
#[must_use]
pub fn both(first: Statement, second: Statement) -> Statement {
    let sql = format!("{}; {}", first.sql, second.sql);
    let values = [first.values, second.values].into_iter().flatten().flat_map(|values| values.0);
    Statement::from_sql_and_values(first.db_backend, sql, values)
}

/// Returns the condition for the oldest of the rows that meet a condition: those beyond the `keep` latest by `time`, at most `keep`
/// of them.
#[must_use]
pub fn oldest<C: ColumnTrait>(id: C, condition: Condition, time: C, keep: u64) -> SimpleExpr
where
    C::EntityName: EntityTrait<Column = C>,
{
    let rows = C::EntityName::find().select_only().column(id).filter(condition);
    let rows = rows.order_by_desc(time).order_by_desc(id).offset(keep).limit(keep);
    id.in_subquery(QueryTrait::into_query(rows))
}
