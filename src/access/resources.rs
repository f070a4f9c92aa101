//! What may be done to a group, to an institution, and to who may access its data.

use super::viewer::Rank;
use super::{Action, Scope, Viewer, refuse};
use crate::entity::membership::GroupRole;
use crate::entity::user;
use crate::error::Error;
use crate::scalar::Id;

/// Whose list the sites of a person are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SitesOf {
    /// The person's own: those that were granted.
    Person(Id),
    /// That of everybody with access to every site of a license.
    License(Id),
}

/// The sites whose data a person may access.
#[must_use]
pub fn sites_of(person: &user::Model) -> SitesOf {
    if person.full_site_access { SitesOf::License(person.license_id) } else { SitesOf::Person(person.id) }
}

impl Viewer {
    /// Whether the viewer, who is `own` in the group, may rename and delete it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_change_group(&self, own: Option<GroupRole>) -> Result<(), Error> {
        self.may(Action::ChangeGroup)?;
        let is_owner = own == Some(GroupRole::Owner);
        if self.scope(Action::ChangeGroup) != Scope::Own || self.signed_in()?.rights.is_group_admin || is_owner {
            return Ok(());
        }
        refuse("Only the group's owners and administrators may update or delete it.")
    }

    /// Whether the viewer, who is `own` in the group, may change somebody there from one role to another; `None` is no
    /// membership.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_change_members(
        &self,
        own: Option<GroupRole>,
        from: Option<GroupRole>,
        to: Option<GroupRole>,
    ) -> Result<(), Error> {
        self.may(Action::ChangeMembers)?;
        let of_owner = from == Some(GroupRole::Owner) || to == Some(GroupRole::Owner);
        if own == Some(GroupRole::Owner) && !self.administers_groups() && from.is_none() && of_owner {
            return refuse("Only administrators may make a user an owner who is not yet a member of the group.");
        }
        let allowed = match own {
            _ if self.administers_groups() => true,
            Some(GroupRole::Owner) => true,
            Some(GroupRole::Manager) => !of_owner,
            Some(GroupRole::Member) | None => false,
        };
        if allowed {
            return Ok(());
        }
        refuse(
            "Only the group's managers and owners may change its members, and only its owners may change its owners.",
        )
    }

    /// Whether the viewer, who is `own` in the group, may end the membership of a person there, who is `from` in it.
    /// Everybody may leave.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_remove_member(
        &self,
        own: Option<GroupRole>,
        person_id: Id,
        from: Option<GroupRole>,
    ) -> Result<(), Error> {
        self.may(Action::ChangeMembers)?;
        if self.signed_in()?.user_id == person_id { Ok(()) } else { self.may_change_members(own, from, None) }
    }

    /// Whether the viewer administers all groups that they see, and may own and give away as many as they like.
    #[must_use]
    pub fn administers_groups(&self) -> bool {
        self.signed_in().is_ok_and(|viewer| viewer.rights.is_group_admin)
            || !matches!(self.scope(Action::ChangeMembers), Scope::Nothing | Scope::Own)
    }

    /// Whether the viewer may change and delete an institution, access to which was granted to him or not.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_change_institution(&self, is_granted: bool) -> Result<(), Error> {
        self.may(Action::ChangeInstitution)?;
        self.accesses_site(is_granted)
    }

    /// Whether the viewer may grant a person access to an institution and revoke it, access to which was granted to the
    /// viewer himself or not.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_change_sites(&self, person: &user::Model, is_granted: bool) -> Result<(), Error> {
        self.may_on(Action::ChangeSites, person)?;
        // Above the viewer can only be himself by now, asking by a key of a lower role.
        if self.scope(Action::ChangeSites) == Scope::Rank && Rank::of_user(person) > self.signed_in()?.rank {
            return refuse("You may not do this to a user of higher rank.");
        }
        self.accesses_site(is_granted)
    }

    /// Administrators answer for the sites that they have access to, those above them for every one.
    fn accesses_site(&self, is_granted: bool) -> Result<(), Error> {
        let viewer = self.signed_in()?;
        if viewer.rank > Rank::Admin || viewer.full_site_access || is_granted {
            return Ok(());
        }
        refuse("Only administrators with access to this institution may do this.")
    }
}
