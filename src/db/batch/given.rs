//! The rows that a statement gets.

use sea_orm::sea_query::{ArrayType, ColumnType};
use sea_orm::{ColumnTrait, DatabaseBackend, DbErr, ModelTrait, Statement, Value};

use super::{Column, is_key, names, quoted, table};

/// The maximum number of rows of a statement.
const MAX_ROWS: usize = 8_192;
/// The maximum number of parameters of a statement on SQLite, which allows 32,766. It keeps prepared statements in memory.
const MAX_PARAMETERS: usize = 16_384;
/// The column of PostgreSQL's given rows that has a bit for each nullable column: `SeaQuery` cannot send arrays with nulls.
const NULL_BITS: &str = "null_bits";

/// Rows that a statement gets as the table `given`, and their columns.
pub(super) struct Given<M: ModelTrait> {
    pub(super) backend: DatabaseBackend,
    pub(super) columns: Vec<Column<M>>,
    /// The bit of each column in [`NULL_BITS`]; 0 if the column is not nullable.
    null_bits: Vec<i64>,
}

impl<M: ModelTrait> Given<M> {
    pub(super) fn new(backend: DatabaseBackend, columns: Vec<Column<M>>) -> Self {
        let mut next_bit = 1;
        let mut null_bit = |column: &Column<M>| {
            if !column.def().is_null() {
                return 0;
            }
            let bit = next_bit;
            next_bit <<= 1;
            bit
        };
        let null_bits = columns.iter().map(&mut null_bit).collect();
        Self { backend, columns, null_bits }
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.backend == DatabaseBackend::Postgres
    }

    /// Returns the maximum number of rows: a power of two.
    pub(super) fn room(&self) -> usize {
        if self.is_postgres() {
            return MAX_ROWS;
        }
        let most = MAX_PARAMETERS / self.columns.len().max(1);
        ((most + 1).next_power_of_two() / 2).clamp(1, MAX_ROWS)
    }

    pub(super) fn statement(&self, sql: String, rows: &[M]) -> Result<Statement, DbErr> {
        Ok(Statement::from_sql_and_values(self.backend, sql, self.values(rows)?))
    }

    pub(super) fn update(&self, rows: usize) -> String {
        let values = self.columns.iter().zip(self.expressions());
        let set = values.filter(|(column, _)| !is_key::<M::Entity>(**column));
        let set: Vec<String> = set.map(|(column, value)| format!("{} = {value}", quoted(*column))).collect();
        format!("UPDATE {} SET {} FROM {} WHERE {}", table::<M>(), set.join(", "), self.table(rows), self.same_key())
    }

    pub(super) fn delete(&self, rows: usize) -> String {
        let table = table::<M>();
        if self.is_postgres() {
            return format!("DELETE FROM {table} USING {} WHERE {}", self.table(rows), self.same_key());
        }
        // SQLite compares all columns by the affinity of the first comparison, and finds rows by the columns of that affinity. The
        // affinity of a blob is that of all; so is the one between two texts.
        let mut keys: Vec<(Column<M>, String)> = self.columns.iter().copied().zip(self.expressions()).collect();
        keys.sort_by_key(|(column, _)| !matches!(column.def().get_column_type(), ColumnType::Uuid));
        let value = |(column, value): &(Column<M>, String)| match column.def().get_column_type() {
            ColumnType::String(_) | ColumnType::Text => format!("CAST({value} AS text)"),
            _ => value.clone(),
        };
        let values: Vec<String> = keys.iter().map(value).collect();
        let columns: Vec<Column<M>> = keys.iter().map(|(column, _)| *column).collect();
        let given = self.table(rows);
        format!("DELETE FROM {table} WHERE ({}) IN (SELECT {} FROM {given})", names(&columns), values.join(", "))
    }

    /// Returns the condition that a row has the same primary key as a given one.
    fn same_key(&self) -> String {
        let values = self.columns.iter().zip(self.expressions());
        let keys = values.filter(|(column, _)| is_key::<M::Entity>(**column));
        let same = |(column, value): (&Column<M>, String)| format!("{}.{} = {value}", table::<M>(), quoted(*column));
        keys.map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// Returns the given rows as a table of a statement.
    pub(super) fn table(&self, rows: usize) -> String {
        if !self.is_postgres() {
            return format!("({}) AS given", self.values_clause(rows));
        }
        let mut names: Vec<String> = self.columns.iter().map(|column| quoted(*column)).collect();
        if self.has_nullable() {
            names.push(NULL_BITS.to_owned());
        }
        format!("unnest({}) AS given ({})", self.parameters(names.len()), names.join(", "))
    }

    /// Returns the text of SQLite for rows, with room for a power of two of them.
    fn values_clause(&self, rows: usize) -> String {
        let row = format!("({})", self.parameters(self.columns.len()));
        format!("VALUES {}", vec![row.as_str(); rows.next_power_of_two()].join(", "))
    }

    pub(super) fn parameters(&self, count: usize) -> String {
        if self.is_postgres() {
            (1..=count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
        } else {
            vec!["?"; count].join(", ")
        }
    }

    fn has_nullable(&self) -> bool {
        self.null_bits.iter().any(|bit| *bit != 0)
    }

    /// Returns the expression for the value of each column of a given row.
    pub(super) fn expressions(&self) -> Vec<String> {
        let expression = |(place, (column, bit)): (usize, (&Column<M>, &i64))| match (self.is_postgres(), bit) {
            (false, _) => format!("given.column{}", place + 1),
            (true, 0) => format!("given.{}", quoted(*column)),
            (true, bit) => format!("CASE WHEN (given.{NULL_BITS} & {bit}) = 0 THEN given.{} END", quoted(*column)),
        };
        self.columns.iter().zip(&self.null_bits).enumerate().map(expression).collect()
    }

    fn values(&self, rows: &[M]) -> Result<Vec<Value>, DbErr> {
        if self.is_postgres() {
            return self.arrays(rows);
        }
        Ok(rows.iter().flat_map(|row| self.columns.iter().map(move |column| row.get(*column))).collect())
    }

    /// Returns an array for each column, and one of the bits of the columns that are null.
    fn arrays(&self, rows: &[M]) -> Result<Vec<Value>, DbErr> {
        let mut nulls = vec![0_i64; rows.len()];
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        for (column, bit) in self.columns.iter().zip(&self.null_bits) {
            let mut values = Vec::with_capacity(rows.len());
            for (row, nulls) in rows.iter().zip(&mut nulls) {
                let value = row.get(*column);
                if value.is_some() {
                    values.push(value);
                } else if *bit != 0 {
                    *nulls |= bit;
                    values.push(value.dummy_value());
                } else {
                    return Err(DbErr::Custom(format!("{} of {} must not be null", quoted(*column), table::<M>())));
                }
            }
            arrays.push(array(values));
        }
        if self.has_nullable() {
            arrays.push(array(nulls.into_iter().map(Value::from).collect()));
        }
        Ok(arrays)
    }
}

/// Returns an array of values of one type.
fn array(values: Vec<Value>) -> Value {
    let kind = values.first().map_or(ArrayType::String, Value::array_type);
    Value::Array(kind, Some(Box::new(values)))
}
