//! Records the outcome of sending an email: that it was sent, when to retry, or that it was given up.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationTrait};

use super::{MailWorker, POLL_INTERVAL};
use crate::audit::{self, Change, Entry};
use crate::db::Transaction;
use crate::entity::audit_event::AuditAction;
use crate::entity::{invitation, license, mail, registration, user};
use crate::error::Error;
use crate::mail::SendError;
use crate::mail::metrics::MailOutcome;
use crate::repeated::Repeated;
use crate::scalar::{Id, now};
use crate::text;

/// The delay after the first failed attempt; it doubles with each further one.
const FIRST_RETRY_DELAY: TimeDelta = TimeDelta::seconds(2);
/// The maximum delay.
const MAX_RETRY_DELAY: TimeDelta = TimeDelta::minutes(15);
/// The minimum age and the minimum number of attempts at which an email is given up if the server neither accepts nor finally
/// rejects it.
const GIVE_UP_AGE: TimeDelta = TimeDelta::days(1);
const GIVE_UP_TRIES: i32 = 10;

/// Outcomes that could not be recorded.
static NOT_RECORDED: Repeated = Repeated::new();

impl MailWorker {
    /// Begins a transaction that records the result of an email. The user is locked first, in the same order as when a user is
    /// erased.
    #[expect(clippy::disallowed_methods, reason = "the mail worker has no actor")]
    async fn begin_for(&self, mail: &mail::Model) -> Result<Transaction, Error> {
        let transaction = self.db.begin().await?;
        if let Some(user_id) = mail.user_id {
            let user = user::Entity::find_by_id(user_id).select_only().column(user::Column::Id);
            user.lock_exclusive().into_tuple::<Id>().one(&transaction).await?;
        }
        Ok(transaction)
    }

    /// Records that an email was sent, and retries until another sender may claim the email.
    pub(super) async fn record_sent(&self, mail: &mail::Model) -> Result<(), Error> {
        loop {
            match self.try_to_record_sent(mail).await {
                Err(error) if now() < mail.next_try_at => {
                    if let Some(times) = NOT_RECORDED.count() {
                        let mail = mail.id.0;
                        tracing::warn!(%mail, error = error.for_log(), times, "failed to record that an email was sent; retrying");
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_to_record_sent(&self, mail: &mail::Model) -> Result<(), Error> {
        let transaction = self.begin_for(mail).await?;
        mail::Entity::delete_by_id(mail.id).exec(&transaction).await?;
        let sent = [
            (invitation::Column::SentAt, Expr::value(Some(now()))),
            (invitation::Column::LastError, Expr::value(None::<String>)),
        ];
        update_invitation(&transaction, mail, sent).await?;
        audit::commit(transaction, None).await
    }

    /// Records that an email could not be sent, and when to retry or that it was given up.
    pub(super) async fn record_failure(&self, mail: &mail::Model, error: SendError) -> Result<(), Error> {
        let SendError { reason, is_permanent } = error;
        let gives_up = is_permanent || mail.created_at + GIVE_UP_AGE <= now() && mail.tries >= GIVE_UP_TRIES;
        self.metrics.count(if gives_up { MailOutcome::Failed } else { MailOutcome::Retried });
        tracing::warn!(mail = %mail.id.0, tries = mail.tries, gave_up = gives_up, reason, "failed to send an email");
        let transaction = self.begin_for(mail).await?;
        let failed_at = gives_up.then(now);
        let failure = [
            (invitation::Column::FailedAt, Expr::value(failed_at)),
            (invitation::Column::LastError, Expr::value(Some(reason.clone()))),
        ];
        update_invitation(&transaction, mail, failure).await?;
        let event = if gives_up {
            give_up(&transaction, mail, reason).await?
        } else {
            mail::Entity::update_many()
                .col_expr(mail::Column::NextTryAt, Expr::value(time_of_next_try(mail.tries)))
                .filter(mail::Column::Id.eq(mail.id))
                .exec(&transaction)
                .await?;
            None
        };
        audit::commit(transaction, event).await
    }
}

/// Updates the invitation that an email belongs to, if it is the user's newest.
async fn update_invitation<const N: usize>(
    transaction: &Transaction,
    mail: &mail::Model,
    values: [(invitation::Column, Expr); N],
) -> Result<(), Error> {
    let Some(user_id) = mail.user_id else { return Ok(()) };
    let change = values
        .into_iter()
        .fold(invitation::Entity::update_many(), |change, (column, value)| change.col_expr(column, value));
    let newest = change.filter(invitation::Column::UserId.eq(user_id)).filter(invitation::Column::MailId.eq(mail.id));
    newest.exec(transaction).await?;
    Ok(())
}

/// Gives up an email and returns its audit event; `None` if another sender was first.
async fn give_up(transaction: &Transaction, mail: &mail::Model, reason: String) -> Result<Option<Entry>, Error> {
    if mail::Entity::delete_by_id(mail.id).exec(transaction).await?.rows_affected == 0 {
        return Ok(None);
    }
    let event = if let Some(user_id) = mail.user_id {
        let user = user::Entity::find_by_id(user_id).one(transaction).await?;
        // Servers name addresses in their reasons. The event belongs to the user, so these are deleted when the user is erased.
        let reason = Change::of("reason", None, Some(reason.into()));
        user.map(|user| Entry::new(AuditAction::MailFailed, &user).with([reason]))
    } else {
        // The email is for a registration.
        let license = license::Entity::find()
            .join_rev(JoinType::InnerJoin, registration::Relation::License.def())
            .filter(registration::Column::EmailKey.eq(text::canonical_email(&mail.address)))
            .one(transaction)
            .await?;
        license.map(|license| Entry::new(AuditAction::MailFailed, &license))
    };
    let kind = Change::of("mail", None, Some(mail.kind.to_value().into()));
    Ok(event.map(|event| event.with([kind])))
}

fn time_of_next_try(tries: i32) -> DateTime<Utc> {
    let doublings = u32::try_from(tries).unwrap_or(1).saturating_sub(1).min(16);
    now() + (FIRST_RETRY_DELAY * 2_i32.saturating_pow(doublings)).min(MAX_RETRY_DELAY)
}
