//! Statements that write many rows. The text of each is the same for any number of rows, or for up to a power of two of them, so
//! that the database prepares it once.
//!
//! PostgreSQL gets an array of values for each column. SQLite has no arrays and gets a parameter for each value; the parameters
//! that no row uses are null.

mod given;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseBackend, DbErr, EntityName, EntityTrait, IdenStatic, Iterable, ModelTrait,
    PrimaryKeyToColumn, QueryResult, Statement,
};

use self::given::Given;

/// The column of a row.
type Column<M> = <<M as ModelTrait>::Entity as EntityTrait>::Column;

/// The treatment of a row that violates a unique constraint.
#[derive(Clone, Copy, Debug)]
pub enum IfExists<'a, C> {
    /// Fails.
    Fail,
    /// Leaves the row out.
    Skip,
    /// Updates these columns of the row with the same primary key. Fails if another constraint is violated.
    Update(&'a [C]),
}

impl<C: ColumnTrait> IfExists<'_, C> {
    fn clause<E: EntityTrait<Column = C>>(&self) -> String {
        match self {
            Self::Fail => String::new(),
            Self::Skip => " ON CONFLICT DO NOTHING".to_owned(),
            Self::Update(columns) => {
                let keys: Vec<C> = C::iter().filter(|column| is_key::<E>(*column)).collect();
                let set = |column: &C| format!("{0} = excluded.{0}", quoted(*column));
                let set: Vec<String> = columns.iter().map(set).collect();
                format!(" ON CONFLICT ({}) DO UPDATE SET {}", names(&keys), set.join(", "))
            }
        }
    }
}

/// Inserts rows.
///
/// # Errors
/// The violation of a constraint, or that the database cannot be reached.
pub async fn insert<M: ModelTrait>(
    connection: &impl ConnectionTrait,
    rows: &[M],
    if_exists: IfExists<'_, Column<M>>,
) -> Result<(), DbErr> {
    let columns = <Column<M> as Iterable>::iter().collect();
    let insert = Insert::<M>::new(connection.get_database_backend(), columns, if_exists, &[]);
    for some in rows.chunks(insert.given.room()) {
        connection.execute_raw(insert.statement(some)?).await?;
    }
    Ok(())
}

/// Inserts rows whose primary key the database generates. Returns the `returning` columns of the rows that it inserted.
///
/// # Errors
/// As [`insert`].
pub async fn insert_generated<M: ModelTrait>(
    connection: &impl ConnectionTrait,
    rows: &[M],
    if_exists: IfExists<'_, Column<M>>,
    returning: &[Column<M>],
) -> Result<Vec<QueryResult>, DbErr> {
    let columns = <Column<M> as Iterable>::iter().filter(|column| !is_key::<M::Entity>(*column)).collect();
    let insert = Insert::<M>::new(connection.get_database_backend(), columns, if_exists, returning);
    let mut inserted = Vec::new();
    for some in rows.chunks(insert.given.room()) {
        inserted.extend(connection.query_all_raw(insert.statement(some)?).await?);
    }
    Ok(inserted)
}

/// The statement of PostgreSQL that inserts a row for each row of the result of another statement: once, or not at all. Its text is
/// kept, because composing it takes long beside the rest of a mutation.
pub struct InsertionFrom<M: ModelTrait> {
    sql: String,
    columns: Vec<Column<M>>,
}

impl<M: ModelTrait> InsertionFrom<M> {
    /// Returns the statement for a `source`, the name of the other one's result. The database generates the primary key if `generated`
    /// says so. The values of the `returning` columns are its result.
    #[must_use]
    pub fn new(source: &str, generated: bool, returning: &[Column<M>]) -> Self {
        let columns = <Column<M> as Iterable>::iter().filter(|column| !generated || !is_key::<M::Entity>(*column));
        let columns: Vec<Column<M>> = columns.collect();
        let parameters: Vec<String> = (1..=columns.len()).map(|number| format!("${number}")).collect();
        let head = format!("INSERT INTO {} ({})", table::<M>(), names(&columns));
        let tail = returned(returning);
        Self { sql: format!("{head} SELECT {} FROM {source}{tail}", parameters.join(", ")), columns }
    }

    /// Returns the statement that inserts a row.
    #[must_use]
    pub fn of(&self, row: &M) -> Statement {
        let values = self.columns.iter().map(|column| row.get(*column));
        Statement::from_sql_and_values(DatabaseBackend::Postgres, &self.sql, values)
    }
}

/// Updates the rows with the same primary keys, each of which is given once.
///
/// # Errors
/// `RecordNotUpdated` if one of them does not exist; the violation of a constraint, or that the database cannot be reached.
pub async fn update<M: ModelTrait>(connection: &impl ConnectionTrait, rows: &[M]) -> Result<(), DbErr> {
    let given = Given::<M>::new(connection.get_database_backend(), <Column<M> as Iterable>::iter().collect());
    let mut updated = 0;
    for some in rows.chunks(given.room()) {
        updated += connection.execute_raw(given.statement(given.update(some.len()), some)?).await?.rows_affected();
    }
    if updated == rows.len() as u64 { Ok(()) } else { Err(DbErr::RecordNotUpdated) }
}

/// Deletes the rows with the same primary keys, if they exist.
///
/// # Errors
/// The violation of a constraint, or that the database cannot be reached.
pub async fn delete<M: ModelTrait>(connection: &impl ConnectionTrait, rows: &[M]) -> Result<(), DbErr> {
    let keys = <Column<M> as Iterable>::iter().filter(|column| is_key::<M::Entity>(*column)).collect();
    let given = Given::<M>::new(connection.get_database_backend(), keys);
    for some in rows.chunks(given.room()) {
        connection.execute_raw(given.statement(given.delete(some.len()), some)?).await?;
    }
    Ok(())
}

/// A statement that inserts rows.
struct Insert<M: ModelTrait> {
    given: Given<M>,
    /// The text after the rows.
    tail: String,
}

impl<M: ModelTrait> Insert<M> {
    fn new(
        backend: DatabaseBackend,
        columns: Vec<Column<M>>,
        if_exists: IfExists<'_, Column<M>>,
        returning: &[Column<M>],
    ) -> Self {
        let tail = if_exists.clause::<M::Entity>() + &returned(returning);
        Self { given: Given::new(backend, columns), tail }
    }

    fn statement(&self, rows: &[M]) -> Result<Statement, DbErr> {
        let Self { given, tail } = self;
        let head = format!("INSERT INTO {} ({})", table::<M>(), names(&given.columns));
        if let [row] = rows {
            let sql = format!("{head} VALUES ({}){tail}", given.parameters(given.columns.len()));
            let values = given.columns.iter().map(|column| row.get(*column));
            return Ok(Statement::from_sql_and_values(given.backend, sql, values));
        }
        // The first column is never null, except in the rows that fill up SQLite's.
        let is_given = if given.is_postgres() { "" } else { " WHERE given.column1 IS NOT NULL" };
        let values = given.expressions().join(", ");
        given.statement(format!("{head} SELECT {values} FROM {}{is_given}{tail}", given.table(rows.len())), rows)
    }
}

fn is_key<E: EntityTrait>(column: E::Column) -> bool {
    E::PrimaryKey::from_column(column).is_some()
}

fn table<M: ModelTrait>() -> String {
    format!("\"{}\"", M::Entity::default().table_name())
}

/// Returns the clause that returns columns of the rows that a statement has written.
fn returned<C: ColumnTrait>(columns: &[C]) -> String {
    if columns.is_empty() { String::new() } else { format!(" RETURNING {}", names(columns)) }
}

fn names<C: ColumnTrait>(columns: &[C]) -> String {
    columns.iter().map(|column| quoted(*column)).collect::<Vec<_>>().join(", ")
}

fn quoted(column: impl IdenStatic) -> String {
    format!("\"{}\"", column.as_str())
}
