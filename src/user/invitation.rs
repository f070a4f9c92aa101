//! Activation emails: for users created by an administrator, and for visitors who want to register.

use async_graphql::{ID, MaybeUndefined};
use sea_orm::EntityTrait;

use super::create::ActivationMethod;
use super::input::RegisterUserInput;
use crate::access::{Viewer, is_in_force};
use crate::actor;
use crate::audit::{self, Entry};
use crate::auth::password::Hasher;
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle::{self, Mailbox};
use crate::client::Client;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::link::Purpose;
use crate::entity::mail::MailKind;
use crate::entity::user::{UserFields, UserNames};
use crate::entity::{license, link, site_access, user};
use crate::error::{Error, ErrorCode};
use crate::mail::MailQueue;
use crate::scalar::Url;
use crate::validation::Validator;

const NOT_ALLOWED: &str = "Self-registration is disabled on this server; ask an administrator for an account.";

/// The queue of the emails that activate accounts, and the policy for the URLs in them.
#[derive(Clone, Copy)]
pub struct ActivationEmails<'a> {
    pub queue: MailQueue<'a>,
    pub policy: &'a SelfServicePolicy,
}

/// The options for the email to a new user, as given in an input.
pub struct InvitationOptions {
    pub mail: MaybeUndefined<bool>,
    pub next_url: MaybeUndefined<String>,
}

impl InvitationOptions {
    /// Checks that the viewer may have the email sent, if the input asks for it.
    ///
    /// # Errors
    /// `Forbidden`, naming the field.
    pub fn check(&self, viewer: &Viewer) -> Result<(), Error> {
        if self.mail != MaybeUndefined::Value(true) {
            return Ok(());
        }
        viewer.may_send_invitations("sendRegistrationEmail")
    }

    /// Resolves the options for a new user. By default, the email is sent if `is_invited` is set and the user is active and has
    /// an email address. Adds errors to `validator`.
    pub fn activation<'a>(
        self,
        new: &user::Model,
        is_invited: bool,
        emails: ActivationEmails<'a>,
        validator: &mut Validator,
    ) -> ActivationMethod<'a> {
        let mut next_url = None::<Url>;
        validator.text("registrationEmailNextUrl", self.next_url, &mut next_url, |text| {
            emails.policy.next_urls.check(text).map(|url| url.0)
        });
        let is_default = self.mail.is_undefined();
        let mut mails = new.email.is_some() && new.is_active && is_invited;
        validator.value("sendRegistrationEmail", self.mail, &mut mails);
        let hindrance = if new.email.is_none() && !validator.has_error_at("email") {
            Some("An invitation email requires an email address.")
        } else if new.is_active {
            None
        } else {
            Some("An invitation email cannot be sent to an inactive user.")
        };
        match hindrance {
            Some(hindrance) if mails && !is_default => {
                validator.add_error("sendRegistrationEmail", ErrorCode::NotAllowed, hindrance);
            }
            _ => {}
        }
        if next_url.is_some() && !mails {
            validator.add_error(
                "registrationEmailNextUrl",
                ErrorCode::NotAllowed,
                "Allowed only if the invitation email is sent (`sendRegistrationEmail`).",
            );
        }
        if mails { ActivationMethod::Mail(emails.queue, next_url) } else { ActivationMethod::Nothing }
    }
}

/// Sends a user the activation link again.
///
/// # Errors
/// `Rejected` for an unknown ID, for a URL that is not allowed, and for a user who is inactive, has no email address or has
/// already activated the account; `Forbidden`.
pub async fn resend(
    db: &Db,
    viewer: &Viewer,
    emails: ActivationEmails<'_>,
    id: &ID,
    given: MaybeUndefined<String>,
) -> Result<user::Model, Error> {
    let mut validator = Validator::changing();
    let id = validator.id("id", id);
    let (mut next_url, keeps) = (None::<Url>, given.is_undefined());
    validator.text("nextUrl", given, &mut next_url, |text| emails.policy.next_urls.check(text).map(|url| url.0));
    validator.finish()?;
    let (transaction, viewer, user) = actor::begin_on_known(db, viewer, "id", id).await?;
    let holds_more = site_access::holds_more(&transaction, id, viewer.signed_in()?.user_id).await?;
    viewer.may_invite(&user, holds_more)?;
    let hindrance = match &user {
        user::Model { is_active: false, .. } => Some((ErrorCode::Inactive, "is inactive; activate the user first.")),
        user::Model { email: None, .. } => Some((ErrorCode::NotAllowed, "has no email address.")),
        user::Model { has_activated: true, .. } => Some((
            ErrorCode::NotAllowed,
            "has already activated the account; use `requestPasswordReset` if the password is lost.",
        )),
        _ => None,
    };
    if let Some((code, hindrance)) = hindrance {
        return Err(Error::rejected("id", code, format!("{} {hindrance}", user.name())));
    }
    if keeps {
        let last = link::Entity::find_by_id((id, Purpose::Activation)).one(&transaction).await?;
        next_url = last.and_then(|last| last.next_url);
    }
    emails.queue.invite(&transaction, &user, next_url).await?;
    audit::commit(transaction, [Entry::new(AuditAction::LinkCreated, &user).by(&viewer)]).await?;
    Ok(user)
}

/// Sends a visitor who wants to register the link by which the user is created. Whether the address already belongs to a user is
/// determined when the email is about to be sent.
///
/// # Errors
/// `Rejected` with every error of the input; `Forbidden` if registration is disabled; `RateLimited`.
#[expect(clippy::disallowed_methods, reason = "who registers is nobody yet")]
pub async fn register(
    db: &Db,
    hasher: &Hasher,
    client: &Client,
    policy: SignInPolicy,
    emails: ActivationEmails<'_>,
    input: RegisterUserInput,
) -> Result<(), Error> {
    let forbidden = || Error::Forbidden(NOT_ALLOWED.to_owned());
    let id = emails.policy.registration.ok_or_else(forbidden)?;
    let license = license::Entity::find_by_id(id).one(db.read()).await?.filter(is_in_force).ok_or_else(forbidden)?;
    let RegisterUserInput { first_name, last_name, email, next_url } = input;
    let mut validator = Validator::creating();
    let fields = UserFields { email: MaybeUndefined::Value(email), ..UserFields::default() };
    let new = user::Model::with_email(license.id, UserNames::new(first_name, last_name), fields, &mut validator);
    let mut next = None;
    validator.text("nextUrl", next_url, &mut next, |text| emails.policy.next_urls.check(text).map(|url| url.0));
    validator.finish()?;
    let pseudonym = hasher.pseudonymize(new.email_key.as_deref().unwrap_or_default());
    let mailbox = Mailbox { kind: MailKind::Registration, pseudonym: &pseudonym };
    let limit = policy.max_failures_per_address;
    if !throttle::count_anonymous_mail(db, mailbox, client.ip_address, limit).await? {
        return Ok(());
    }
    let transaction = db.begin().await?;
    emails.queue.register(&transaction, &new, next).await?;
    let event = Entry::new(AuditAction::RegistrationRequested, &license).in_request(client.request_id.clone());
    audit::commit(transaction, [event]).await
}
