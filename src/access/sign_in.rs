//! Rights to set what a user signs in with: passwords, PINs, email addresses and links.

use super::viewer::Rank;
use super::{Action, Viewer, refuse};
use crate::entity::user;
use crate::error::Error;

/// The fields of an input that prove a user's identity.
pub(super) const SECRETS: [&str; 2] = ["password", "pin"];

/// The fields that allow signing in as a user: the secrets, and the address that receives the links by which they are set.
pub(super) const SIGN_IN_FIELDS: [&str; 3] = ["password", "pin", "email"];

/// Returns whether a change of a user, with the fields given in its input, could let someone else sign in as that user.
#[must_use]
pub fn lets_in(old: &user::Model, new: &user::Model, given: &[&str]) -> bool {
    !sign_in_fields(old, new, given).is_empty()
}

/// Returns the given fields that could let someone else sign in as the user; an unchanged email address does not count.
pub(super) fn sign_in_fields<'a>(old: &user::Model, new: &user::Model, given: &[&'a str]) -> Vec<&'a str> {
    let changes = |field: &str| SIGN_IN_FIELDS.contains(&field) && (field != "email" || old.email != new.email);
    given.iter().copied().filter(|field| changes(field)).collect()
}

impl Viewer {
    /// Checks that the viewer may do what allows signing in as a user: set the password, the PIN or the email address, or send
    /// a link. The viewer must hold every right that the user holds. `holds_more` is whether the user was granted access to an
    /// institution to which the viewer was not.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden`, naming the missing right.
    pub fn may_let_in(&self, person: &user::Model, holds_more: bool) -> Result<(), Error> {
        let viewer = self.signed_in()?;
        if viewer.session_id().is_none() {
            return refuse("An API key cannot set credentials or send links; sign in.");
        }
        viewer.may_give(&user::Model::empty(person.id, person.license_id), person)?;
        if holds_more && viewer.rank < Rank::LicenseAdmin && !viewer.full_site_access {
            return refuse(
                "You may set credentials of a user, or send them a link, only if you hold all of their rights: sites.",
            );
        }
        Ok(())
    }

    /// Checks that the viewer may send a user the activation link; see [`Viewer::may_let_in`].
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_invite(&self, person: &user::Model, holds_more: bool) -> Result<(), Error> {
        self.may_on(Action::Invite, person)?;
        self.may_let_in(person, holds_more)
    }

    /// Checks that the viewer may send invitations at all, as requested by an input field.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden`, naming the field if an API key is used.
    pub fn may_send_invitations(&self, field: &str) -> Result<(), Error> {
        match self.signed_in()?.session_id() {
            Some(_) => self.may(Action::Invite),
            None => refuse_key(field),
        }
    }
}

/// Refuses fields that no API key may set, naming them.
pub(super) fn refuse_key<T>(fields: &str) -> Result<T, Error> {
    refuse(&format!("An API key cannot set credentials or send links: {fields}. Sign in."))
}
