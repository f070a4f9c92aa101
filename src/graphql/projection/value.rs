//! Decoding of the values in the rows of either database.

use sea_orm::sqlx::Row;
use sea_orm::{ColumnTrait, ColumnType, DbErr, QueryResult, RuntimeErr, Value};

/// Decodes a value in a row of either database. `SeaORM` would first make an error of each null, and then ignore that error.
macro_rules! decode {
    ($kind:expr, $row:expr, $index:expr) => {
        match $kind {
            ValueKind::Text => $row.try_get($index).map(Value::String),
            ValueKind::Uuid => $row.try_get($index).map(Value::Uuid),
            ValueKind::Boolean => $row.try_get($index).map(Value::Bool),
            ValueKind::Integer => $row.try_get($index).map(Value::Int),
            ValueKind::BigInteger => $row.try_get($index).map(Value::BigInt),
            ValueKind::Bytes => $row.try_get($index).map(Value::Bytes),
            ValueKind::Date => $row.try_get($index).map(Value::ChronoDate),
            ValueKind::Instant => $row.try_get($index).map(Value::ChronoDateTimeUtc),
        }
    };
}

/// The type of value that a column holds.
#[derive(Clone, Copy)]
pub enum ValueKind {
    Text,
    Uuid,
    Boolean,
    Integer,
    BigInteger,
    Bytes,
    Date,
    Instant,
}

impl ValueKind {
    /// Returns the type of value that a column holds.
    pub fn of(column: &impl ColumnTrait) -> Self {
        match column.def().get_column_type() {
            ColumnType::Uuid => Self::Uuid,
            ColumnType::Boolean => Self::Boolean,
            ColumnType::Integer => Self::Integer,
            ColumnType::BigInteger => Self::BigInteger,
            ColumnType::VarBinary(_) => Self::Bytes,
            ColumnType::Date => Self::Date,
            ColumnType::TimestampWithTimeZone => Self::Instant,
            _ => Self::Text,
        }
    }

    /// Reads the value at an index of a row.
    ///
    /// # Errors
    /// `Query` if the value has another type.
    pub fn value(self, row: &QueryResult, index: usize) -> Result<Value, DbErr> {
        let value = match (row.try_as_sqlite_row(), row.try_as_pg_row()) {
            (Some(row), _) => decode!(self, row, index),
            (_, Some(row)) => decode!(self, row, index),
            _ => return Err(DbErr::Type("a row of an unsupported database".to_owned())),
        };
        value.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }
}
