//! Activation emails: for users created by an administrator, and for visitors who want to register.

use async_graphql::{ID, MaybeUndefined};
use sea_orm::EntityTrait;

use super::ActivationMethod;
use super::input::RegisterUserInput;
use crate::access::{Viewer, is_in_force};
use crate::actor;
use crate::audit::{self, Entry};
use crate::auth::password::Hasher;
use crate::auth::policy::{SelfServicePolicy, SignInPolicy};
use crate::auth::throttle;
use crate::client::Client;
use crate::db::Db;
use crate::entity::audit_event::AuditAction;
use crate::entity::link::Purpose;
use crate::entity::mail::MailKind;
use crate::entity::user::UserFields;
use crate::entity::{license, link, site_access, user};
use crate::error::{Error, ErrorCode};
use crate::mail::MailQueue;
use crate::scalar::Url;
use crate::validation::Validator;

const NOT_ALLOWED: &str = "Self-registration is disabled on this server; ask an administrator for an account.";

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
    /// an email address. Adds errors to `form`.
    pub fn read<'a>(
        self,
        new: &user::Model,
        is_invited: bool,
        (desk, ways): (MailQueue<'a>, &SelfServicePolicy),
        form: &mut Validator,
    ) -> ActivationMethod<'a> {
        let mut next_url = None::<Url>;
        form.text("registrationEmailNextUrl", self.next_url, &mut next_url, |text| {
            ways.next_urls.check(text).map(|url| url.0)
        });
        let is_default = self.mail.is_undefined();
        let mut mails = new.email.is_some() && new.is_active && is_invited;
        form.value("sendRegistrationEmail", self.mail, &mut mails);
        let hindrance = if new.email.is_none() && !form.has_fault_of("email") {
            Some("A registration email requires an email address.")
        } else if new.is_active {
            None
        } else {
            Some("A registration email cannot be sent to an inactive user.")
        };
        match hindrance {
            Some(hindrance) if mails && !is_default => {
                form.fault("sendRegistrationEmail", ErrorCode::NotAllowed, hindrance);
            }
            _ => {}
        }
        if next_url.is_some() && !mails {
            form.fault(
                "registrationEmailNextUrl",
                ErrorCode::NotAllowed,
                "Allowed only if a registration email is sent (`sendRegistrationEmail`).",
            );
        }
        if mails { ActivationMethod::Mail(desk, next_url) } else { ActivationMethod::Nothing }
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
    (desk, ways): (MailQueue<'_>, &SelfServicePolicy),
    id: &ID,
    given: MaybeUndefined<String>,
) -> Result<user::Model, Error> {
    let mut form = Validator::changing();
    let id = form.id("id", id);
    let (mut next_url, keeps) = (None::<Url>, given.is_undefined());
    form.text("nextUrl", given, &mut next_url, |text| ways.next_urls.check(text).map(|url| url.0));
    form.finish()?;
    let id = id.ok_or_else(|| Error::internal("an invalid ID passed validation"))?;
    let (transaction, viewer, person) = actor::begin_on_known(db, viewer, "id", id).await?;
    let holds_more = site_access::holds_more(&transaction, id, viewer.signed_in()?.user_id).await?;
    viewer.may_invite(&person, holds_more)?;
    let hindrance = match &person {
        user::Model { is_active: false, .. } => Some((ErrorCode::Inactive, "is inactive; activate the user first.")),
        user::Model { email: None, .. } => Some((ErrorCode::NotAllowed, "has no email address.")),
        user::Model { has_activated: true, .. } => Some((
            ErrorCode::NotAllowed,
            "has already activated the account; use `requestPasswordReset` if the password is lost.",
        )),
        _ => None,
    };
    if let Some((code, hindrance)) = hindrance {
        return Err(Error::rejected("id", code, format!("{} {hindrance}", person.name())));
    }
    if keeps {
        let last = link::Entity::find_by_id((id, Purpose::Activation)).one(&transaction).await?;
        next_url = last.and_then(|last| last.next_url);
    }
    desk.invite(&transaction, &person, next_url).await?;
    audit::commit(transaction, [Entry::new(AuditAction::LinkCreated, &person).by(&viewer)]).await?;
    Ok(person)
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
    (client, rules): (&Client, SignInPolicy),
    (desk, ways): (MailQueue<'_>, &SelfServicePolicy),
    input: RegisterUserInput,
) -> Result<(), Error> {
    let forbidden = || Error::Forbidden(NOT_ALLOWED.to_owned());
    let id = ways.registration.ok_or_else(forbidden)?;
    let license = license::Entity::find_by_id(id).one(db.read()).await?.filter(is_in_force).ok_or_else(forbidden)?;
    let RegisterUserInput { first_name, last_name, email, next_url } = input;
    let mut form = Validator::creating();
    let fields = UserFields { email: MaybeUndefined::Value(email), ..UserFields::default() };
    let new = user::Model::addressed(license.id, (first_name, last_name), fields, &mut form);
    let mut next = None;
    form.text("nextUrl", next_url, &mut next, |text| ways.next_urls.check(text).map(|url| url.0));
    form.finish()?;
    let mailbox = hasher.pseudonymize(new.email_key.as_deref().unwrap_or_default());
    let from = (client.ip_address, rules.max_failures_per_address);
    if !throttle::may_write_to(db, (MailKind::Registration, &mailbox), from).await? {
        return Ok(());
    }
    let transaction = db.begin().await?;
    desk.register(&transaction, &new, next).await?;
    let event = Entry::new(AuditAction::RegistrationRequested, &license).in_request(client.request_id.clone());
    audit::commit(transaction, [event]).await
}
