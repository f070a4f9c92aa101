//! Prepares an email when it is about to be sent: finds its recipient, and whether it is still needed.

use sea_orm::sea_query::{Condition, Expr, ExprTrait, SelectStatement};
use sea_orm::{
    ColumnTrait, EntityTrait, JoinType, PaginatorTrait, QueryFilter, QuerySelect, QueryTrait, RelationTrait,
};

use crate::access::active_in_valid_license;
use crate::audit::{self, Entry};
use crate::auth::credential::lock_if_active;
use crate::auth::key_ring::ServerKeys;
use crate::auth::{one_time_link, token};
use crate::db::{Db, rows};
use crate::entity::audit_event::AuditAction;
use crate::entity::link::Purpose;
use crate::entity::mail::{self, MailKind};
use crate::entity::{
    attribute_definition, attribute_value, audit_event, audit_inbox, credential, invitation, license, link,
    registration, user,
};
use crate::error::Error;
use crate::i18n::language::Language;
use crate::scalar::{Id, now};
use crate::text;

/// The custom attribute with a user's language.
const LOCALE: &str = "locale";

/// An email that is still needed, with its content.
pub struct PreparedMail {
    pub mail: mail::Model,
    /// The recipient's full name; `None` if it is not known to be correct.
    pub name: Option<String>,
    /// The holder of the license, in whose name the email is written.
    pub organisation: String,
    pub language: Language,
    pub link: Option<Link>,
}

/// The link in an email.
pub struct Link {
    pub purpose: Purpose,
    pub token: String,
}

/// Prepares emails, with the server keys.
pub struct MailPreparer<'a> {
    pub db: &'a Db,
    pub keys: &'a ServerKeys,
}

impl MailPreparer<'_> {
    /// Returns the content of an email; `None` if it is no longer needed.
    pub async fn prepare(&self, mail: mail::Model) -> Result<Option<PreparedMail>, Error> {
        match mail.kind {
            MailKind::Invitation => self.prepare_with_link(mail, Purpose::Activation).await,
            MailKind::PasswordReset => match self.find_owner(mail).await? {
                Some(mail) => self.prepare_with_link(mail, Purpose::PasswordReset).await,
                None => Ok(None),
            },
            MailKind::EmailConfirmation => self.prepare_confirmation(mail).await,
            MailKind::Registration => self.prepare_registration(mail).await,
            MailKind::AddressTaken
            | MailKind::EmailChangeRequested
            | MailKind::PasswordChanged
            | MailKind::PinChanged
            | MailKind::EmailChanged => self.prepare_for_user(mail, None).await,
        }
    }

    async fn prepare_with_link(&self, mail: mail::Model, purpose: Purpose) -> Result<Option<PreparedMail>, Error> {
        let token = self.token_of(&mail).await?;
        if !self.renew(&mail, purpose, &token).await? {
            return Ok(None);
        }
        self.prepare_for_user(mail, Some(Link { purpose, token })).await
    }

    /// Restarts the lifetime of a link, which counts from when the email is sent, however long that took. Returns false if the
    /// link is no longer valid. The lock on the user excludes transactions that revoke the link.
    #[expect(clippy::disallowed_methods, reason = "the mail worker has no actor")]
    async fn renew(&self, mail: &mail::Model, purpose: Purpose, token: &str) -> Result<bool, Error> {
        let Some(user_id) = mail.user_id else { return Ok(false) };
        let transaction = self.db.begin().await?;
        let user = lock_if_active(&transaction, user_id).await?;
        if user.is_none() || !one_time_link::renew(&transaction, purpose, token).await? {
            return Ok(false);
        }
        invitation::Entity::update_many()
            .col_expr(invitation::Column::ExpiresAt, Expr::value(now() + purpose.lives()))
            .filter(invitation::Column::UserId.eq(user_id))
            .filter(invitation::Column::MailId.eq(mail.id))
            .exec(&transaction)
            .await?;
        audit::commit(transaction, None).await?;
        Ok(true)
    }

    async fn prepare_for_user(&self, mail: mail::Model, link: Option<Link>) -> Result<Option<PreparedMail>, Error> {
        let Some(user_id) = mail.user_id else { return Ok(None) };
        let recipient: Option<(String, String, String)> = user::Entity::find_by_id(user_id)
            .select_only()
            .columns([user::Column::FirstName, user::Column::LastName])
            .column(license::Column::Holder)
            .join(JoinType::InnerJoin, user::Relation::License.def())
            .into_tuple()
            .one(self.db.read())
            .await?;
        let Some((first_name, last_name, organisation)) = recipient else { return Ok(None) };
        let locale: Option<String> = attribute_value::Entity::find()
            .select_only()
            .column(attribute_value::Column::Value)
            .join(JoinType::InnerJoin, attribute_value::Relation::Definition.def())
            .filter(attribute_value::Column::UserId.eq(user_id))
            .filter(attribute_definition::Column::Name.eq(LOCALE))
            .into_tuple()
            .one(self.db.read())
            .await?;
        let name = Some(format!("{first_name} {last_name}"));
        let language = locale.and_then(|locale| Language::of_tag(&locale)).unwrap_or(mail.language);
        Ok(Some(PreparedMail { mail, name, organisation, language, link }))
    }

    /// Finds the owner of a lost password and creates the link. From then on the email belongs to that user, and goes to the
    /// stored address.
    #[expect(clippy::disallowed_methods, reason = "the mail worker has no actor")]
    async fn find_owner(&self, mail: mail::Model) -> Result<Option<mail::Model>, Error> {
        if mail.user_id.is_some() {
            return Ok(Some(mail));
        }
        let Some(owner_id) = self.find_active_owner(&mail.address).await? else { return Ok(None) };
        let transaction = self.db.begin().await?;
        let Some(user) = lock_if_active(&transaction, owner_id).await? else { return Ok(None) };
        let Some(address) = user.email.clone() else { return Ok(None) };
        let token = token::from_seed(self.keys.current(), mail.seed.as_deref().unwrap_or_default());
        let new = one_time_link::build(&user, Purpose::PasswordReset, &token);
        one_time_link::upsert(&transaction, link::Model { is_mailed: true, ..new }).await?;
        let owned = mail::Model { user_id: Some(user.id), address, ..mail.clone() };
        rows::update(&transaction, &mail, owned.clone()).await?;
        let event = Entry::new(AuditAction::LinkCreated, &user).in_request(mail.request_id.clone());
        audit::commit(transaction, [event]).await?;
        Ok(Some(owned))
    }

    async fn find_active_owner(&self, address: &str) -> Result<Option<Id>, Error> {
        // A user created with an API key who has not activated the account can reset the password only after an invitation was
        // sent.
        let may_reset = Condition::any()
            .add(user::Column::HasActivated.eq(true))
            .add(credential::Column::UserId.is_not_null())
            .add(invitation::Column::UserId.is_not_null())
            .add(was_created_with_api_key(self.db.is_postgres()).not());
        let owner_id = user::Entity::find()
            .select_only()
            .column(user::Column::Id)
            .join(JoinType::InnerJoin, user::Relation::License.def())
            .join_rev(JoinType::LeftJoin, credential::Relation::User.def())
            .filter(user::Column::EmailKey.eq(text::canonical_email(address)))
            .join_rev(JoinType::LeftJoin, invitation::Relation::User.def())
            .filter(may_reset)
            .filter(active_in_valid_license())
            .into_tuple()
            .one(self.db.read())
            .await?;
        Ok(owner_id)
    }

    async fn prepare_confirmation(&self, mail: mail::Model) -> Result<Option<PreparedMail>, Error> {
        let token = self.token_of(&mail).await?;
        if !self.renew(&mail, Purpose::EmailChange, &token).await? {
            return Ok(None);
        }
        match self.find_owner_of_address(&mail).await? {
            Some(owner) if Some(owner.id) != mail.user_id => {
                one_time_link::revoke_one(self.db.write(), &token).await?;
                self.prepare_address_taken(mail, owner).await
            }
            _ => self.prepare_for_user(mail, Some(Link { purpose: Purpose::EmailChange, token })).await,
        }
    }

    async fn prepare_registration(&self, mail: mail::Model) -> Result<Option<PreparedMail>, Error> {
        let token = self.token_of(&mail).await?;
        let renewed = registration::Entity::update_many()
            .col_expr(registration::Column::ExpiresAt, Expr::value(now() + Purpose::Activation.lives()))
            .filter(registration::Column::TokenHash.eq(token::hash(&token)))
            .exec_with_returning(self.db.write())
            .await?;
        let Some(registration) = renewed.into_iter().next() else { return Ok(None) };
        if let Some(owner) = self.find_owner_of_address(&mail).await? {
            return self.prepare_address_taken(mail, owner).await;
        }
        let license = license::Entity::find_by_id(registration.license_id).one(self.db.read()).await?;
        let link = Some(Link { purpose: Purpose::Activation, token });
        // The name was typed by an unknown visitor, who could make the email say anything.
        Ok(license.map(|license| PreparedMail {
            language: mail.language,
            mail,
            name: None,
            organisation: license.holder,
            link,
        }))
    }

    /// Returns the user who has the address of an email.
    async fn find_owner_of_address(&self, mail: &mail::Model) -> Result<Option<user::Model>, Error> {
        let by_address = user::Column::EmailKey.eq(text::canonical_email(&mail.address));
        Ok(user::Entity::find().filter(by_address).one(self.db.read()).await?)
    }

    /// Turns an email to an address that is taken into a notification of its owner, at the stored address. Returns `None` if the
    /// owner is inactive.
    async fn prepare_address_taken(
        &self,
        mail: mail::Model,
        owner: user::Model,
    ) -> Result<Option<PreparedMail>, Error> {
        let Some(address) = owner.email.filter(|_| owner.is_active) else { return Ok(None) };
        let notification =
            mail::Model { kind: MailKind::AddressTaken, user_id: Some(owner.id), address, seed: None, ..mail.clone() };
        rows::update(self.db.write(), &mail, notification.clone()).await?;
        self.prepare_for_user(notification, None).await
    }

    /// Returns the token of the link of an email. It is made with the key with which the link was stored, which may be an old one.
    async fn token_of(&self, mail: &mail::Model) -> Result<String, Error> {
        let seed = mail.seed.as_deref().unwrap_or_default();
        for key in self.keys.others() {
            let token = token::from_seed(key, seed);
            if self.is_stored(&token).await? {
                return Ok(token);
            }
        }
        Ok(token::from_seed(self.keys.current(), seed))
    }

    async fn is_stored(&self, token: &str) -> Result<bool, Error> {
        let hash = token::hash(token);
        let links = link::Entity::find().filter(link::Column::TokenHash.eq(hash.clone())).count(self.db.read()).await?;
        if links > 0 {
            return Ok(true);
        }
        let of_hash = registration::Column::TokenHash.eq(hash);
        Ok(registration::Entity::find().filter(of_hash).count(self.db.read()).await? > 0)
    }
}

/// Returns the condition for users who were created with an API key: the audit trail has the event, in its chain or, on PostgreSQL,
/// still in its inbox.
fn was_created_with_api_key(is_postgres: bool) -> Condition {
    let sealed = creations_with_api_key::<audit_event::Entity>(
        audit_event::Column::Action,
        audit_event::Column::ApiKeyId,
        audit_event::Column::SubjectId,
    );
    let unsealed = is_postgres.then(|| {
        creations_with_api_key::<audit_inbox::Entity>(
            audit_inbox::Column::Action,
            audit_inbox::Column::ApiKeyId,
            audit_inbox::Column::SubjectId,
        )
    });
    Condition::any().add(Expr::exists(sealed)).add_option(unsealed.map(Expr::exists))
}

/// Returns the statement that finds the event of creating the user of the outer statement with an API key.
fn creations_with_api_key<E: EntityTrait>(
    action: E::Column,
    api_key_id: E::Column,
    subject_id: E::Column,
) -> SelectStatement {
    E::find()
        .select_only()
        .column(subject_id)
        .filter(ColumnTrait::eq(&action, AuditAction::UserCreated))
        .filter(ColumnTrait::is_not_null(&api_key_id))
        .filter(Expr::col(subject_id.as_column_ref()).equals((user::Entity, user::Column::Id)))
        .into_query()
}
