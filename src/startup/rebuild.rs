//! Rebuilding of derived columns.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Condition, IntoCondition};
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, ModelTrait, QueryFilter,
    QueryOrder, QuerySelect, Value,
};

use crate::db::{Transaction, rows};
use crate::entity::{attribute_definition, attribute_value, group, institution, user};
use crate::scalar::Id;
use crate::{login, text};

/// The number of rows that are read at once.
const ROWS_AT_ONCE: u64 = 500;

/// Rebuilds the derived columns that are not up to date, as after a migration that added one or a change of folding. If another
/// user has the new key of a login, the login keeps its former key.
pub(super) async fn rebuild(transaction: &Transaction) -> Result<(), DbErr> {
    login::update_registration_keys(transaction).await?;
    rebuild_groups(transaction).await?;
    rebuild_institutions(transaction).await?;
    rebuild_attribute_values(transaction).await?;
    rebuild_users(transaction).await
}

async fn rebuild_users(transaction: &Transaction) -> Result<(), DbErr> {
    let mut last_id = None;
    loop {
        let after_last = last_id.map(|last_id| user::Column::Id.gt::<Id>(last_id));
        let users = user::Entity::find().filter(Condition::all().add_option(after_last)).order_by_asc(user::Column::Id);
        let users = users.limit(ROWS_AT_ONCE).all(transaction).await?;
        let Some(last_row) = users.last() else { return Ok(()) };
        last_id = Some(last_row.id);
        let changes = users.into_iter().map(|old| (derived(&old), old));
        for (mut new, old) in changes.filter(|(new, old)| new != old) {
            login::update_login_keys(transaction, &old, &mut new).await?;
            if new != old {
                rows::update(transaction, &old, new).await?;
            }
        }
    }
}

async fn rebuild_groups(transaction: &Transaction) -> Result<(), DbErr> {
    update_rows::<group::Entity>(transaction, Condition::all(), group::Column::Id, |group| {
        let name_key = text::fold(&group.name);
        (group.name_key != name_key)
            .then(|| group::ActiveModel { name_key: Set(name_key), ..group.into_active_model() })
    })
    .await
}

async fn rebuild_institutions(transaction: &Transaction) -> Result<(), DbErr> {
    update_rows::<institution::Entity>(transaction, Condition::all(), institution::Column::Id, |site| {
        let name_key = text::fold(&site.name);
        (site.name_key != name_key)
            .then(|| institution::ActiveModel { name_key: Set(name_key), ..site.into_active_model() })
    })
    .await
}

async fn rebuild_attribute_values(transaction: &Transaction) -> Result<(), DbErr> {
    for definition in attribute_definition::Entity::find().all(transaction).await? {
        let of_definition = attribute_value::Column::DefinitionId.eq(definition.id).into_condition();
        update_rows::<attribute_value::Entity>(transaction, of_definition, attribute_value::Column::UserId, |value| {
            let value_key = definition.kind.key(&value.value);
            (value.value_key != value_key)
                .then(|| attribute_value::ActiveModel { value_key: Set(value_key), ..value.into_active_model() })
        })
        .await?;
    }
    Ok(())
}

/// Updates those of the rows for which `change` returns an update. The column `id` is unique among the rows.
async fn update_rows<E: EntityTrait>(
    transaction: &Transaction,
    condition: Condition,
    id: E::Column,
    change: impl Fn(E::Model) -> Option<E::ActiveModel>,
) -> Result<(), DbErr>
where
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelTrait<Entity = E> + ActiveModelBehavior + Send,
{
    let mut last_id = None;
    loop {
        let after_last = last_id.map(|last_id: Value| id.gt(last_id));
        let rows = E::find().filter(condition.clone().add_option(after_last)).order_by_asc(id).limit(ROWS_AT_ONCE);
        let rows = rows.all(transaction).await?;
        let Some(last_row) = rows.last() else { return Ok(()) };
        last_id = Some(last_row.get(id));
        for row in rows.into_iter().filter_map(&change) {
            row.update(transaction).await?;
        }
    }
}

fn derived(old: &user::Model) -> user::Model {
    let mut new = old.clone();
    new.update_derived();
    new
}
