//! Rights to set what a user signs in with: passwords, PINs, email addresses and links.

use super::viewer::Rank;
use super::{Action, Viewer, forbidden};
use crate::entity::user;
use crate::error::Error;

/// The fields of an input that prove a user's identity.
pub(super) const SECRETS: [&str; 2] = ["password", "pin"];

/// The fields that allow signing in as a user: the secrets, and the address that receives the links by which they are set.
pub(super) const SIGN_IN_FIELDS: [&str; 3] = ["password", "pin", "email"];

/// Returns whether a change of a user, with the fields given in its input, could let someone else sign in as that user.
#[must_use]
pub fn affects_sign_in(old: &user::Model, new: &user::Model, fields: &[&str]) -> bool {
    !sign_in_fields(old, new, fields).is_empty()
}

/// Returns the given fields that could let someone else sign in as the user; an unchanged email address does not count.
pub(super) fn sign_in_fields<'a>(old: &user::Model, new: &user::Model, fields: &[&'a str]) -> Vec<&'a str> {
    let changes = |field: &str| SIGN_IN_FIELDS.contains(&field) && (field != "email" || old.email != new.email);
    fields.iter().copied().filter(|field| changes(field)).collect()
}

impl Viewer {
    /// Checks that the viewer may do what allows signing in as a user: set the password, the PIN or the email address, or send
    /// a link. The viewer must hold every right that the user holds. `has_more_sites` is whether the user was granted access to an
    /// institution to which the viewer was not.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden`, naming the missing right.
    pub fn may_set_credentials(&self, user: &user::Model, has_more_sites: bool) -> Result<(), Error> {
        let viewer = self.signed_in()?;
        if viewer.session_id().is_none() {
            return forbidden("An API key cannot set credentials or send links; sign in.");
        }
        viewer.may_grant(&user::Model::empty(user.id, user.license_id), user)?;
        if has_more_sites && viewer.rank < Rank::LicenseAdmin && !viewer.full_site_access {
            return forbidden(
                "You may set credentials of a user, or send them a link, only if you hold all of their rights: sites.",
            );
        }
        Ok(())
    }

    /// Checks that the viewer may send a user the activation link; see [`Viewer::may_set_credentials`].
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_invite(&self, user: &user::Model, has_more_sites: bool) -> Result<(), Error> {
        self.may_on(Action::Invite, user)?;
        self.may_set_credentials(user, has_more_sites)
    }

    /// Checks that the viewer may send invitations at all, as requested by an input field.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden`, naming the field if an API key is used.
    pub fn may_send_invitations(&self, field: &str) -> Result<(), Error> {
        match self.signed_in()?.session_id() {
            Some(_) => self.may(Action::Invite),
            None => forbidden_for_api_key(field),
        }
    }
}

/// Returns the error for fields that no API key may set, naming them.
pub(super) fn forbidden_for_api_key<T>(fields: &str) -> Result<T, Error> {
    forbidden(&format!("An API key cannot set credentials or send links: {fields}. Sign in."))
}
