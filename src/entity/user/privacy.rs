//! The levels of privacy, and the GraphQL fields that show columns. `Column::privacy` in `mod.rs` returns the level of a column.

use std::collections::HashMap;
use std::sync::LazyLock;

use sea_orm::{IdenStatic, Iterable};

use super::Column;
use crate::text;

/// The privacy of a column. [`crate::access`] decides which viewers a level includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Visible to every viewer that can see the user.
    Open,
    /// Visible to the user and to administrators.
    Private,
    /// Visible to administrators, as one of the administrator rights.
    Right,
    /// Visible to nobody: not a field, but a column by which users are found or sorted.
    Internal,
}

/// The columns by their GraphQL fields.
static COLUMNS: LazyLock<HashMap<String, Column>> =
    LazyLock::new(|| Column::iter().map(|column| (column.field(), column)).collect());

impl Column {
    /// Returns the GraphQL field that shows the column, such as `birthDate` or `adminRights.isAdmin`.
    #[must_use]
    pub fn field(self) -> String {
        let name = text::camel(self.as_str());
        if self.privacy() == Privacy::Right { format!("adminRights.{name}") } else { name }
    }

    /// Returns the column that a GraphQL field shows. `None` if the field is not a column.
    #[must_use]
    pub fn of_field(field: &str) -> Option<Self> {
        COLUMNS.get(field).copied()
    }
}
