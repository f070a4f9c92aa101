//! Mail queue: emails that are still to be sent.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::i18n::language::Language;
use crate::scalar::Id;

/// The kind of an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MailKind {
    /// Tells a user that an administrator has created them; has the link that activates the account.
    Invitation,
    /// Answers a request to register; has the link by which the visitor confirms the email address.
    Registration,
    /// Tells a user that a request asked to register with, or change to, the address that the user already has.
    AddressTaken,
    /// Has the link by which a lost password is replaced.
    PasswordReset,
    /// To the new address: has the link by which it becomes the user's address.
    EmailConfirmation,
    /// To the old address: it is about to be replaced.
    EmailChangeRequested,
    /// The password was changed or removed.
    PasswordChanged,
    /// The PIN was set, changed or removed.
    PinChanged,
    /// To the old address: it was replaced.
    EmailChanged,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub kind: MailKind,
    /// The user that the email is about. `None` if the user is not known yet, or if there is none.
    pub user_id: Option<Id>,
    /// The recipient's address. For a lost password, the address that was given, until the user is found.
    pub address: String,
    /// The language of the email, unless the user has chosen one.
    pub language: Language,
    /// The seed from which, with the server key, the token of the link is made.
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub seed: Option<Vec<u8>>,
    /// The request that asked for the email. `None` if the audit event of its cause has the request.
    pub request_id: Option<String>,
    /// The time of the request; for an email that is to be sent later, that time.
    pub created_at: DateTime<Utc>,
    /// The time from which the email may be sent; while it is being sent, the time from which another worker may send it.
    pub next_try_at: DateTime<Utc>,
    /// The number of attempts to send the email, including the current one.
    pub tries: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
