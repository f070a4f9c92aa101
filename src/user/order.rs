//! In which order people come: `UserOrder`.

use async_graphql::{Enum, InputObject};
use sea_orm::{ColumnTrait, IdenStatic};

use crate::access::Viewer;
use crate::entity::user;
use crate::error::Error;
use crate::graphql::pagination::{Nulls, Order, SortKey};

/// What people are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum UserOrderField {
    /// The username.
    Username,
    /// The e-mail address.
    Email,
    /// The first name.
    FirstName,
    /// The last name.
    LastName,
    /// The role, from USER by ADMIN to `LICENSE_ADMIN`.
    Role,
    /// The position held.
    Position,
    /// When the person was entered.
    DateJoined,
    /// When anything of the person last changed.
    ModifiedAt,
    /// When the person last signed in. Private: administrators only.
    LastLogin,
}

/// Which way things are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "OrderDirection")]
pub enum OrderDirection {
    /// From the lowest to the highest.
    Asc,
    /// From the highest to the lowest.
    Desc,
}

/// Where those go who have no value, whichever way the others are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum NullsOrder {
    /// Before all others.
    First,
    /// After all others.
    Last,
}

/// One of the things that people are sorted by. Text is compared whatever the case and, in names and positions, the accents.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct UserOrder {
    /// By what.
    pub field: UserOrderField,
    /// Which way.
    #[graphql(default_with = "OrderDirection::Asc")]
    pub direction: OrderDirection,
    /// Where those go who have no value.
    #[graphql(default_with = "NullsOrder::Last")]
    pub nulls: NullsOrder,
}

impl UserOrderField {
    /// The column that is shown, and that by which people are sorted.
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

    /// By what those are sorted who are the same in this.
    fn ties(self) -> &'static [user::Column] {
        match self {
            Self::FirstName | Self::LastName | Self::Role | Self::Position => {
                &[user::Column::LastNameKey, user::Column::FirstNameKey, user::Column::Id]
            }
            Self::Username | Self::Email | Self::DateJoined | Self::ModifiedAt | Self::LastLogin => &[user::Column::Id],
        }
    }
}

/// The order that is asked for; by last name, first name and id where none is. Who is the same in all that is said is sorted
/// the way of the last thing.
///
/// # Errors
/// `BadInput` for a field that is named twice; `Forbidden` for what is private.
pub fn read(viewer: &Viewer, asked: &[UserOrder]) -> Result<Order<user::Entity>, Error> {
    let Some(last) = asked.last() else { return Ok(Order::default()) };
    let mut keys: Vec<SortKey<user::Column>> = Vec::new();
    for (place, UserOrder { field, direction, nulls }) in asked.iter().enumerate() {
        let (shown, column) = field.columns();
        viewer.may_filter(shown)?;
        if has(&keys, column) {
            return Err(Error::BadInput(format!("orderBy.{place}.field: each field only once.")));
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
