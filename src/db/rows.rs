//! Whole rows: inserts and updates that write every column.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, ModelTrait,
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
    M::Entity::insert(active(row)).exec_without_returning(connection).await?;
    Ok(())
}

/// Updates the row with the same primary key.
///
/// # Errors
/// `RecordNotUpdated` if there is no such row; the violation of a constraint, or that the database cannot be reached.
pub async fn update<M>(connection: &impl ConnectionTrait, row: M) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<Active<M>>,
    Active<M>: ActiveModelBehavior + Send,
{
    active(row).update_without_returning(connection).await?;
    Ok(())
}
