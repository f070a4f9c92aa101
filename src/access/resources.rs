//! Rights on groups, institutions and access to the data of institutions.

use super::viewer::Rank;
use super::{Action, Scope, Viewer, forbidden};
use crate::entity::membership::GroupRole;
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

/// The list of sites that a user may access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SitesOf {
    /// The sites that were granted to a user.
    User(Id),
    /// All sites of a license, for users with access to every site.
    License(Id),
}

/// Returns the list of sites whose data a user may access.
#[must_use]
pub fn sites_of(user: &user::Model) -> SitesOf {
    if user.full_site_access { SitesOf::License(user.license_id) } else { SitesOf::User(user.id) }
}

impl Viewer {
    /// Checks that the viewer, whose role in the group is `own_role`, may rename and delete it.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_change_group(&self, own_role: Option<GroupRole>) -> Result<(), Error> {
        self.may(Action::ChangeGroup)?;
        let is_owner = own_role == Some(GroupRole::Owner);
        if self.scope(Action::ChangeGroup) != Scope::Own || self.signed_in()?.rights.is_group_admin || is_owner {
            return Ok(());
        }
        forbidden("Only the group's owners and administrators may update or delete it.")
    }

    /// Checks that the viewer, whose role in the group is `own_role`, may change the role of a user there; `None` means no
    /// membership.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_change_members(
        &self,
        own_role: Option<GroupRole>,
        from: Option<GroupRole>,
        to: Option<GroupRole>,
    ) -> Result<(), Error> {
        self.may(Action::ChangeMembers)?;
        let of_owner = from == Some(GroupRole::Owner) || to == Some(GroupRole::Owner);
        if own_role == Some(GroupRole::Owner) && !self.administers_groups() && from.is_none() && of_owner {
            return forbidden("Only administrators may make a user an owner who is not yet a member of the group.");
        }
        let allowed = match own_role {
            _ if self.administers_groups() => true,
            Some(GroupRole::Owner) => true,
            Some(GroupRole::Manager) => !of_owner,
            Some(GroupRole::Member) | None => false,
        };
        if allowed {
            return Ok(());
        }
        forbidden(
            "Only the group's managers and owners may change its members, and only its owners may change its owners.",
        )
    }

    /// Checks that the viewer, whose role in the group is `own_role`, may end the membership of a user, whose role is `from`. Every
    /// user may leave.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_remove_member(
        &self,
        own_role: Option<GroupRole>,
        user_id: Id,
        from: Option<GroupRole>,
    ) -> Result<(), Error> {
        self.may(Action::ChangeMembers)?;
        if self.signed_in()?.user_id == user_id { Ok(()) } else { self.may_change_members(own_role, from, None) }
    }

    /// Returns whether the viewer administers all groups that they can see, and may own and give away any number of them.
    #[must_use]
    pub fn administers_groups(&self) -> bool {
        self.signed_in().is_ok_and(|viewer| viewer.rights.is_group_admin)
            || !matches!(self.scope(Action::ChangeMembers), Scope::Nothing | Scope::Own)
    }

    /// Checks that the viewer may set the external references of groups, by which imports find them; `is_given` is whether an input
    /// does so.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_reference_groups(&self, is_given: bool) -> Result<(), Error> {
        if !is_given || self.administers_groups() {
            return Ok(());
        }
        forbidden("Only administrators, and users with the right isGroupAdmin, may set externalReferences.")
    }

    /// Checks that the viewer may change and delete an institution; `is_granted` is whether access to it was granted to the
    /// viewer.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_change_institution(&self, is_granted: bool) -> Result<(), Error> {
        self.may(Action::ChangeInstitution)?;
        self.accesses_site(is_granted)
    }

    /// Checks that the viewer may grant and revoke a user's access to an institution; `is_granted` is whether access to it was
    /// granted to the viewer.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_change_sites(&self, user: &user::Model, is_granted: bool) -> Result<(), Error> {
        self.may_on(Action::ChangeSites, user)?;
        // The only user above the viewer's rank at this point is the viewer, using an API key with a lower role.
        if self.scope(Action::ChangeSites) == Scope::Rank && Rank::of_user(user) > self.signed_in()?.rank {
            return forbidden("You may not do this to a user of higher rank.");
        }
        self.accesses_site(is_granted)
    }

    /// Checks that the viewer is responsible for a site: administrators for the sites that they may access, license
    /// administrators and superusers for all.
    fn accesses_site(&self, is_granted: bool) -> Result<(), Error> {
        let viewer = self.signed_in()?;
        if viewer.rank > Rank::Admin || viewer.full_site_access || is_granted {
            return Ok(());
        }
        forbidden("Only administrators with access to this institution may do this.")
    }
}
