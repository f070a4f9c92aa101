//! What lets somebody sign in as a user: passwords, PINs, e-mail addresses and links.

use super::viewer::Rank;
use super::{Action, Viewer, refuse};
use crate::entity::user;
use crate::error::Error;

/// What proves who somebody is.
pub(super) const SECRETS: [&str; 2] = ["password", "pin"];

/// The fields that let somebody sign in as a person: the secrets, and the address to which links go that set them.
pub(super) const SIGN_IN_FIELDS: [&str; 3] = ["password", "pin", "email"];

/// Whether a change of a person, with the fields that its input gave, could let somebody else in as that person.
#[must_use]
pub fn lets_in(old: &user::Model, new: &user::Model, given: &[&str]) -> bool {
    !sign_in_fields(old, new, given).is_empty()
}

/// The given fields that could let somebody else in; an address that stays as it is does not.
pub(super) fn sign_in_fields<'a>(old: &user::Model, new: &user::Model, given: &[&'a str]) -> Vec<&'a str> {
    let changes = |field: &str| SIGN_IN_FIELDS.contains(&field) && (field != "email" || old.email != new.email);
    given.iter().copied().filter(|field| changes(field)).collect()
}

impl Viewer {
    /// Whether the viewer may do what lets somebody in as a person: set the password, the PIN or the e-mail address, or send
    /// a link. It takes every right that the person holds. `holds_more` is whether the person was given access to an
    /// institution that the viewer was not.
    ///
    /// # Errors
    /// `Forbidden`, naming the right that is missing.
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

    /// Whether the viewer may send a person the link that takes the account into use; see [`Viewer::may_let_in`].
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_invite(&self, person: &user::Model, holds_more: bool) -> Result<(), Error> {
        self.may_on(Action::Invite, person)?;
        self.may_let_in(person, holds_more)
    }

    /// Whether the viewer may send invitations at all, as a field asks for.
    ///
    /// # Errors
    /// `Forbidden`, naming the field.
    pub fn may_send_invitations(&self, field: &str) -> Result<(), Error> {
        match self.signed_in()?.session_id() {
            Some(_) => self.may(Action::Invite),
            None => refuse_key(field),
        }
    }
}

/// Refuses what no API key does, naming the fields.
pub(super) fn refuse_key<T>(fields: &str) -> Result<T, Error> {
    refuse(&format!("An API key cannot set credentials or send links: {fields}. Sign in."))
}
