//! Mails that are still to be sent.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::i18n::language::Language;
use crate::scalar::Id;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MailKind {
    /// An administrator has entered the person: the link by which he takes the account into use.
    Invitation,
    /// Somebody wants to register himself: the link by which he shows that mail reaches him.
    Registration,
    /// Somebody asked to register with, or change to, an address that belongs to the person already.
    AddressTaken,
    /// The link by which a lost password is replaced.
    PasswordReset,
    /// To the new address: the link by which it becomes the person's.
    EmailConfirmation,
    /// To the old address: another one is about to take its place.
    EmailChangeRequested,
    /// The password was changed or removed.
    PasswordChanged,
    /// The PIN was set, changed or removed.
    PinChanged,
    /// To the old address: another one has taken its place.
    EmailChanged,
}

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mails")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Id,
    pub kind: MailKind,
    /// Whom it is about; none where that is not known yet, or nobody.
    pub user_id: Option<Id>,
    /// Where it goes; of a lost password the address that was given, until the person is found.
    pub address: String,
    /// In which it is written, where the person has not chosen one.
    pub language: Language,
    /// Of which, with the server's key, the token of its link is made.
    #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
    pub seed: Option<Vec<u8>>,
    /// The request that asked for it; none where that stands in the event of what caused it.
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
    /// When it may be sent; while it is being sent, when somebody else may.
    pub next_try_at: DateTime<Utc>,
    /// How often it was begun to be sent.
    pub tries: i32,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
