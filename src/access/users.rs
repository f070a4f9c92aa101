//! Rights to create, change and export users.

use sea_orm::ModelTrait;

use super::sign_in::{SECRETS, SIGN_IN_FIELDS, forbidden_for_api_key, sign_in_fields};
use super::viewer::Rank;
use super::{ATTRIBUTES, Action, SELF_EDITABLE_FIELDS, Scope, SignedIn, Viewer, forbidden};
use crate::entity::{attribute_definition, user};
use crate::error::Error;

/// A change of a user that is to be checked.
#[derive(Clone, Copy)]
pub struct ProposedChange<'a> {
    pub old: &'a user::Model,
    pub new: &'a user::Model,
    /// The fields of the input.
    pub fields: &'a [&'a str],
    /// The definitions of the custom attributes in the input.
    pub attributes: &'a [attribute_definition::Model],
    /// Whether the user was granted access to an institution to which the viewer was not; see
    /// [`Viewer::may_set_credentials`].
    pub has_more_sites: bool,
}

impl Viewer {
    /// Checks that the viewer may create a user as described, where `fields` are those of the input.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden`, naming the fields or the missing right.
    pub fn may_create(&self, new: &user::Model, fields: &[&str]) -> Result<(), Error> {
        self.may(Action::CreateUser)?;
        let viewer = self.signed_in()?;
        let secrets: Vec<&str> = fields.iter().copied().filter(|field| SECRETS.contains(field)).collect();
        if viewer.session_id().is_none() && !secrets.is_empty() {
            return forbidden_for_api_key(&secrets.join(", "));
        }
        viewer.may_grant(&user::Model::empty(new.id, new.license_id), new)
    }

    /// Checks that the viewer may change a user.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden`, naming the fields or the missing right.
    pub fn may_update(&self, change: ProposedChange<'_>) -> Result<(), Error> {
        let ProposedChange { old, new, fields, .. } = change;
        self.may_on(Action::UpdateUser, old)?;
        let viewer = self.signed_in()?;
        // The only user above the viewer's rank who gets this far is the viewer, using an API key with a lower role.
        if self.scope(Action::UpdateUser) == Scope::Own || Rank::of_user(old) > viewer.rank {
            return only_self_editable(change);
        }
        let sign_in_fields = sign_in_fields(old, new, fields);
        if viewer.user_id == old.id {
            viewer.may_update_self(change)?;
        } else if !sign_in_fields.is_empty() {
            if viewer.session_id().is_none() {
                return forbidden_for_api_key(&sign_in_fields.join(", "));
            }
            self.may_set_credentials(old, change.has_more_sites)?;
        }
        viewer.may_grant(old, new)
    }
}

impl Viewer {
    /// Checks that the viewer may export everything about a user. Private fields and sessions are part of it.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_export(&self, user: &user::Model) -> Result<(), Error> {
        [Action::ExportUser, Action::SeePrivate, Action::SeeSessions]
            .into_iter()
            .try_for_each(|action| self.may_on(action, user))
    }
}

/// Checks that a change has only fields and attributes that every user may change of themselves.
fn only_self_editable(change: ProposedChange<'_>) -> Result<(), Error> {
    let fields = change.fields.iter().filter(|field| !SELF_EDITABLE_FIELDS.contains(field)).map(ToString::to_string);
    let attributes = change.attributes.iter().filter(|definition| !definition.user_editable);
    let attributes = attributes.map(|definition| format!("{ATTRIBUTES}{}", definition.name));
    let not_editable: Vec<String> = fields.chain(attributes).collect();
    match not_editable.as_slice() {
        [] => Ok(()),
        _ => forbidden(&format!("You may not change these fields: {}.", not_editable.join(", "))),
    }
}

impl SignedIn {
    /// Checks that an administrator may change themselves in this way.
    fn may_update_self(&self, change: ProposedChange<'_>) -> Result<(), Error> {
        let ProposedChange { old, new, fields, .. } = change;
        if fields.iter().any(|field| SIGN_IN_FIELDS.contains(field)) {
            return forbidden(
                "Your own password, PIN and email address cannot be changed this way; use `changePassword`, `setPin` or `requestEmailChange`.",
            );
        }
        let changes_rank = user::RANK_COLUMNS.iter().any(|column| old.get(*column) != new.get(*column));
        if self.rank < Rank::LicenseAdmin && changes_rank {
            return forbidden("You may not change your own rank.");
        }
        Ok(())
    }

    /// Checks that a change from `old` to `new` grants no right that the viewer does not hold. Only superusers grant or revoke
    /// `isSuperuser`.
    pub(super) fn may_grant(&self, old: &user::Model, new: &user::Model) -> Result<(), Error> {
        let not_held =
            |right: &str| forbidden(&format!("You may not grant or revoke rights that you do not hold: {right}."));
        if self.rank < Rank::Superuser && old.is_superuser != new.is_superuser {
            return not_held("adminRights.isSuperuser");
        }
        if Rank::of_user(new) > self.rank {
            return not_held("a rank above your own");
        }
        if self.rank >= Rank::LicenseAdmin {
            return Ok(());
        }
        if new.full_site_access && !old.full_site_access && !self.full_site_access {
            return not_held("fullSiteAccess");
        }
        let held = self.rights.named();
        let gained = new.rights().named().into_iter().zip(old.rights().named()).zip(held);
        // isAdmin is the rank of an administrator, and every administrator may do what isGroupAdmin allows.
        let by_rank = |name: &str| matches!(name, "adminRights.isAdmin" | "adminRights.isGroupAdmin");
        match gained.into_iter().find(|(((name, new), (_, old)), (_, held))| *new && !old && !held && !by_rank(name)) {
            Some((((right, _), _), _)) => not_held(right),
            None => Ok(()),
        }
    }
}
