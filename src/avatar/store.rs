//! Storage of pictures.

use sea_orm::EntityTrait;
use sea_orm::sea_query::OnConflict;

use super::Picture;
use crate::db::{Db, Transaction, rows};
use crate::entity::avatar;
use crate::error::Error;
use crate::scalar::Id;

/// A store with one picture for each user. The row of the user tells whether there is a picture, and which; the same transaction
/// writes it.
pub trait Store {
    /// Stores a picture, in place of the previous one.
    fn put(
        &self,
        transaction: &Transaction,
        user_id: Id,
        picture: Picture,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns the picture of a user. `None` if the user has none.
    fn read(&self, user_id: Id) -> impl Future<Output = Result<Option<Picture>, Error>> + Send;

    /// Removes the picture of a user.
    fn remove(&self, transaction: &Transaction, user_id: Id) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The database as the store, so that backups include the pictures and erasing a user deletes the picture.
impl Store for Db {
    async fn put(&self, transaction: &Transaction, user_id: Id, picture: Picture) -> Result<(), Error> {
        let Picture { content_type, content } = picture;
        let row = rows::active(avatar::Model { user_id, content_type, content });
        let columns = [avatar::Column::ContentType, avatar::Column::Content];
        let replace = OnConflict::column(avatar::Column::UserId).update_columns(columns).to_owned();
        avatar::Entity::insert(row).on_conflict(replace).exec_without_returning(transaction).await?;
        Ok(())
    }

    async fn read(&self, user_id: Id) -> Result<Option<Picture>, Error> {
        let found = avatar::Entity::find_by_id(user_id).one(Db::read(self)).await?;
        Ok(found.map(|avatar::Model { user_id: _, content_type, content }| Picture { content_type, content }))
    }

    async fn remove(&self, transaction: &Transaction, user_id: Id) -> Result<(), Error> {
        avatar::Entity::delete_by_id(user_id).exec(transaction).await?;
        Ok(())
    }
}
