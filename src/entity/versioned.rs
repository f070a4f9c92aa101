//! Rows with a version, by which a client recognizes that an object has changed since it was read.

use sea_orm::{
    ActiveModelBehavior, ConnectionTrait, DatabaseBackend, DbErr, EntityTrait, IntoActiveModel, ModelTrait, Statement,
};

use super::{group, institution, user};
use crate::db::rows;
use crate::scalar::now;

/// A row with a version.
pub trait Versioned: ModelTrait {
    /// Returns the version, which increases with every change.
    fn version(&self) -> i32;

    /// Increases the version, and sets the time of the last change.
    fn advance(&mut self);
}

macro_rules! versioned {
    ($($entity:ident),*) => {
        $(impl Versioned for $entity::Model {
            fn version(&self) -> i32 {
                self.version
            }

            fn advance(&mut self) {
                self.version += 1;
                self.modified_at = now();
            }
        })*
    };
}

versioned!(user, group, institution);

/// Saves a changed row as its next version; `old` is the row as it is stored. Returns the row as saved.
///
/// # Errors
/// The violation of a constraint, or that the database cannot be reached.
pub async fn save<M>(connection: &impl ConnectionTrait, old: &M, mut row: M) -> Result<M, DbErr>
where
    M: Versioned + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelBehavior + Send,
{
    row.advance();
    rows::update(connection, old, row.clone()).await?;
    Ok(row)
}

/// Returns the statement that saves a changed row, which is locked, as its next version, and the row as it is saved.
#[must_use]
pub fn saving<M: Versioned>(backend: DatabaseBackend, old: &M, mut row: M) -> (Statement, M) {
    row.advance();
    (rows::change(backend, old, &row), row)
}
