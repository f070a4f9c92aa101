//! Invitations: the status of the email by which a user activates the account, one row for each user who was sent one.

use async_graphql::{ComplexObject, Enum, SimpleObject};
use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Condition, Expr, ExprTrait, OnConflict, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, Iterable};

use super::link::{self, Purpose};
use super::{credential, user};
use crate::db::rows;
use crate::scalar::{Id, Instant, now};

/// The state of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, EnumIter)]
pub enum InvitationState {
    /// The email is waiting to be sent for the first time or, after an error, to be retried.
    Queued,
    /// The email was handed over to the mail server. Its link has not been used yet.
    Sent,
    /// The mail server refused the email permanently, or it could not be sent within a day. It is not retried.
    Failed,
    /// The link has expired, or was invalidated by a deactivation, a new password or a new email address.
    Expired,
    /// The user has set a password with this link or another one.
    Accepted,
    /// No invitation was ever requested, and the user has no password and no valid activation link and has never signed
    /// in. Used only in filters: `User.invitation` of these users is null.
    NotInvited,
}

/// The status of a user's invitation email.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, SimpleObject)]
#[sea_orm(table_name = "invitations")]
#[graphql(name = "Invitation", complex)]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    #[graphql(skip)]
    pub user_id: Id,
    /// The email that the other columns describe.
    #[graphql(skip)]
    pub mail_id: Id,
    /// The date and time when the email was handed over to the mail server. Null if it has not been handed over.
    #[graphql(skip, derived(name = "sent_at", into = "Option<Instant>", owned, with = Instant::optional))]
    pub sent_at: Option<DateTime<Utc>>,
    /// The error of the last attempt to send the email. Null if the email was sent, or no attempt was made yet.
    pub last_error: Option<String>,
    #[graphql(skip)]
    pub failed_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    pub accepted_at: Option<DateTime<Utc>>,
    /// The date and time when the link expires.
    #[graphql(skip, derived(name = "expires_at", into = "Instant", owned))]
    pub expires_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::UserId", to = "super::user::Column::Id")]
    User,
}

impl ActiveModelBehavior for ActiveModel {}

#[ComplexObject]
impl Model {
    /// The state of the invitation.
    async fn state(&self) -> InvitationState {
        InvitationState::iter().find(|state| self.is(*state)).unwrap_or(InvitationState::Queued)
    }
}

impl Model {
    /// Returns an invitation whose email waits to be sent.
    #[must_use]
    pub fn queued(user_id: Id, mail_id: Id, expires_at: DateTime<Utc>) -> Self {
        Self { user_id, mail_id, sent_at: None, last_error: None, failed_at: None, accepted_at: None, expires_at }
    }

    fn is(&self, state: InvitationState) -> bool {
        let (is_accepted, is_failed) = (self.accepted_at.is_some(), self.failed_at.is_some());
        let is_over = self.expires_at <= now();
        match state {
            InvitationState::Accepted => is_accepted,
            InvitationState::Expired => !is_accepted && is_over,
            InvitationState::Failed => !is_accepted && !is_over && is_failed,
            InvitationState::Sent => !is_accepted && !is_over && !is_failed && self.sent_at.is_some(),
            InvitationState::Queued => !is_accepted && !is_over && !is_failed && self.sent_at.is_none(),
            InvitationState::NotInvited => false,
        }
    }

    /// Stores the invitation, in place of an older one.
    pub async fn put(self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let replace = OnConflict::column(Column::UserId).update_columns(Column::iter()).to_owned();
        Entity::insert(rows::active(self)).on_conflict(replace).exec_without_returning(db).await?;
        Ok(())
    }
}

impl InvitationState {
    /// Returns the condition that an invitation is in this state. None is in the state `NotInvited`; see [`not_invited`].
    #[must_use]
    pub fn condition(self) -> Condition {
        let open = Condition::all().add(Column::AcceptedAt.is_null());
        let lasting = || open.clone().add(Column::ExpiresAt.gt(now()));
        match self {
            Self::Accepted => Condition::all().add(Column::AcceptedAt.is_not_null()),
            Self::Expired => open.add(Column::ExpiresAt.lte(now())),
            Self::Failed => lasting().add(Column::FailedAt.is_not_null()),
            Self::Sent => lasting().add(Column::FailedAt.is_null()).add(Column::SentAt.is_not_null()),
            Self::Queued => lasting().add(Column::FailedAt.is_null()).add(Column::SentAt.is_null()),
            Self::NotInvited => Condition::all().add(Expr::val(1).eq(0)),
        }
    }
}

/// Returns the condition for the users in the state [`InvitationState::NotInvited`].
#[must_use]
pub fn not_invited() -> Condition {
    let mut link = belonging(link::Entity, link::Column::UserId);
    link.and_where(link::Column::Purpose.eq(Purpose::Activation)).and_where(link::Column::ExpiresAt.gt(now()));
    Condition::all()
        .add(user::Column::HasActivated.eq(false))
        .add(user::Column::LastLogin.is_null())
        .add(Expr::not_exists(belonging(Entity, Column::UserId)))
        .add(Expr::not_exists(belonging(credential::Entity, credential::Column::UserId)))
        .add(Expr::not_exists(link))
}

/// Returns the statement that finds the rows of a table that belong to the user of the outer statement.
fn belonging(table: impl EntityTrait, user_id: impl ColumnTrait) -> SelectStatement {
    let mut rows = Query::select();
    let user = Expr::col(user::Column::Id.as_column_ref());
    rows.expr(Expr::val(1)).from(table.table_ref()).and_where(Expr::col(user_id.as_column_ref()).eq(user));
    rows
}
