//! PINs, the second way to sign in.

use sea_orm::entity::prelude::*;

use crate::scalar::Id;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Id,
    /// The hash in the PHC string format.
    pub pin_hash: String,
    /// The number of wrong PINs since the last correct secret.
    pub wrong: i32,
}

/// The number of wrong PINs that switches the PIN off until the next sign-in with the password.
pub const MAX_WRONG_PINS: i32 = 5;

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}
