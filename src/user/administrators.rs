//! The administrators who must remain: the last superuser, and the last administrator of each license.

use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, PaginatorTrait, QueryFilter};

use crate::access::{active_license_admins, active_superusers, is_active_license_admin, is_active_superuser};
use crate::db::Transaction;
use crate::entity::user;
use crate::error::{Error, ErrorCode};

/// Ensures that the last active superuser, and the last active license administrator of a license, keep their rank.
pub(super) async fn ensure_administrator_remains(
    transaction: &Transaction,
    old: &user::Model,
    new: &user::Model,
) -> Result<(), Error> {
    let lost = [
        (is_active_superuser(old) && !is_active_superuser(new), active_superusers(), "the last active superuser"),
        (
            is_active_license_admin(old) && !is_active_license_admin(new),
            active_license_admins(old.license_id),
            "the last active license administrator of the license",
        ),
    ];
    for (_, peers, what) in lost.into_iter().filter(|(lost, _, _)| *lost) {
        if transaction.get_database_backend() == DatabaseBackend::Postgres {
            // Two administrators who demote each other at the same time must not both find the other one still active.
            transaction.execute_unprepared("SELECT pg_advisory_xact_lock(7305804403)").await?;
        }
        let others = user::Entity::find().filter(peers).filter(user::Column::Id.ne(old.id));
        if others.count(transaction).await? == 0 {
            return Err(Error::rejected(
                "id",
                ErrorCode::NotAllowed,
                format!("{} is {what} and cannot be deactivated, demoted or erased.", old.name()),
            ));
        }
    }
    Ok(())
}
