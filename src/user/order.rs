//! Order of lists of users: `UserOrder`.

use async_graphql::{Enum, InputObject};
use sea_orm::{ColumnTrait, IdenStatic};

use crate::access::Viewer;
use crate::entity::user;
use crate::error::Error;
use crate::graphql::pagination::{Nulls, Order, SortKey};

/// The fields by which users can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum UserOrderField {
    /// The user's username.
    Username,
    /// The user's email address.
    Email,
    /// The user's first name.
    FirstName,
    /// The user's last name.
    LastName,
    /// The user's role, in the order `USER`, `ADMIN`, `LICENSE_ADMIN`.
    Role,
    /// The user's position.
    Position,
    /// The date and time when the user joined the directory.
    DateJoined,
    /// The date and time of the last change to a field or attribute of the user.
    ModifiedAt,
    /// The date and time of the user's last sign-in. Private: administrators only.
    LastLogin,
}

/// The direction in which a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "OrderDirection")]
pub enum OrderDirection {
    /// Ascending order, from the lowest to the highest value.
    Asc,
    /// Descending order, from the highest to the lowest value.
    Desc,
}

/// The position of missing values in a sorted list, regardless of the sort direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum NullsOrder {
    /// Before all other values.
    First,
    /// After all other values.
    Last,
}

/// Ordering options for users. Text is compared ignoring case and, in `FIRST_NAME`, `LAST_NAME` and `POSITION`,
/// accents.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct UserOrder {
    /// The field to order users by.
    pub field: UserOrderField,
    /// The ordering direction. Defaults to `ASC`.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub direction: OrderDirection,
    /// The position of users without a value. Defaults to `LAST`.
    #[graphql(default_with = "NullsOrder::Last")]
    pub nulls: NullsOrder,
}

impl UserOrderField {
    /// Returns the column that is shown, and the column by which users are sorted.
    fn columns(self) -> (user::Column, user::Column) {
        match self {
            Self::Username => (user::Column::Username, user::Column::UsernameKey),
            Self::Email => (user::Column::Email, user::Column::EmailKey),
            Self::FirstName => (user::Column::FirstName, user::Column::FirstNameKey),
            Self::LastName => (user::Column::LastName, user::Column::LastNameKey),
            Self::Role => (user::Column::Role, user::Column::RoleKey),
            Self::Position => (user::Column::Position, user::Column::PositionKey),
            Self::DateJoined => (user::Column::DateJoined, user::Column::DateJoined),
            Self::ModifiedAt => (user::Column::ModifiedAt, user::Column::ModifiedAt),
            Self::LastLogin => (user::Column::LastLogin, user::Column::LastLogin),
        }
    }

    /// Returns the columns by which users with the same value are sorted.
    fn ties(self) -> &'static [user::Column] {
        match self {
            Self::FirstName | Self::LastName | Self::Role | Self::Position => {
                &[user::Column::LastNameKey, user::Column::FirstNameKey, user::Column::Id]
            }
            Self::Username | Self::Email | Self::DateJoined | Self::ModifiedAt | Self::LastLogin => &[user::Column::Id],
        }
    }
}

/// Returns the requested order; by last name, first name and ID if none is requested. Users with equal values in all fields are
/// sorted in the direction of the last field.
///
/// # Errors
/// `BadInput` for a field that is given twice; `Forbidden` for a private field.
pub fn read(viewer: &Viewer, asked: &[UserOrder]) -> Result<Order<user::Entity>, Error> {
    let Some(last) = asked.last() else { return Ok(Order::default()) };
    let mut keys: Vec<SortKey<user::Column>> = Vec::new();
    for (place, UserOrder { field, direction, nulls }) in asked.iter().enumerate() {
        let (shown, column) = field.columns();
        viewer.may_filter(shown)?;
        if has(&keys, column) {
            return Err(Error::BadInput(format!("orderBy.{place}.field: each field can be given only once.")));
        }
        let nulls = match nulls {
            NullsOrder::First => Nulls::First,
            NullsOrder::Last => Nulls::Last,
        };
        let nulls = column.def().is_null().then_some(nulls);
        keys.push(SortKey { column, descending: *direction == OrderDirection::Desc, nulls });
    }
    let descending = last.direction == OrderDirection::Desc;
    for column in last.field.ties() {
        if !has(&keys, *column) {
            keys.push(SortKey { column: *column, descending, nulls: None });
        }
    }
    Ok(Order::by(keys))
}

fn has(keys: &[SortKey<user::Column>], column: user::Column) -> bool {
    keys.iter().any(|key| key.column.as_str() == column.as_str())
}
