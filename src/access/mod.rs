//! Access control: every decision on what a viewer may see and change. No other module compares roles, ranks or licenses.
//!
//! [`scopes_of`] in `policy.rs` is the table of rights: the scope of each action for each rank. The rest applies it:
//! [`Viewer::may`] at a root field, before any row is known; [`Viewer::may_on`] to a user; the conditions of `visibility.rs` to
//! rows in SQL. The few rules that the table cannot express follow below and in `users.rs`, `resources.rs` and `sign_in.rs`.
//! Ranks: user < administrator < license administrator < superuser.

mod policy;
mod resources;
mod sign_in;
mod users;
mod viewer;
mod visibility;

use std::sync::Arc;

use async_graphql::{Context, Guard, SimpleObject};

pub use self::policy::{
    Action, ROOT_FIELDS, SELF_EDITABLE_FIELDS, Scope, action_of, is_public, may_read_standby, scopes_of,
};
pub use self::resources::{SitesOf, sites_of};
pub use self::sign_in::affects_sign_in;
pub use self::users::ProposedChange;
use self::viewer::Rank;
pub use self::viewer::{AuthMethod, CurrentViewer, SignedIn, Viewer, ViewerRow};
pub use self::visibility::{
    active_in_valid_license, active_in_valid_license_as, active_license_admins, active_superusers, administrators,
    in_force, of_license,
};
use crate::entity::audit_event::SubjectType;
use crate::entity::license;
use crate::entity::user::{self, AdminRights, Privacy, Role};
use crate::error::Error;
use crate::scalar::{Date, Id};

/// The prefix of the names of fields that are custom attributes.
pub const ATTRIBUTES: &str = "attributes.";

/// The viewer's permissions on a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject)]
pub struct UserPermissions {
    /// Whether the viewer can change at least one field of the user.
    pub update: bool,
    /// Whether the viewer can activate and deactivate the user.
    pub set_active: bool,
    /// Whether the viewer can erase the user.
    pub delete: bool,
    /// Whether the viewer can see the user's private fields, such as `birthDate` and `lastLogin`.
    pub see_private: bool,
    /// Whether the viewer can see all administrator rights of the user.
    pub see_admin_rights: bool,
}

impl Viewer {
    /// Returns the scope of an action for the viewer.
    #[must_use]
    pub fn scope(&self, action: Action) -> Scope {
        let [anonymous, user, admin, license_admin, superuser] = scopes_of(action);
        match self {
            Self::Anonymous => anonymous,
            Self::SignedIn(viewer) => match viewer.rank {
                Rank::User => user,
                Rank::Admin => admin,
                Rank::LicenseAdmin => license_admin,
                Rank::Superuser => superuser,
            },
        }
    }

    /// Checks that the viewer may do the action at all, whatever it is done to.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may(&self, action: Action) -> Result<(), Error> {
        let viewer = match (self.scope(action), self) {
            (Scope::Nothing, Self::Anonymous) => return Err(Error::Unauthenticated),
            (Scope::Nothing, _) if action == Action::RenameLicense => {
                return forbidden("Only license administrators may do this.");
            }
            (Scope::Nothing, _) => return forbidden("Only administrators may do this."),
            (_, Self::Anonymous) => return Ok(()),
            (_, Self::SignedIn(viewer)) => viewer,
        };
        // Credentials and links prove a user's identity, so only a user with a session may change or send them. An export goes only
        // to somebody who has signed in.
        let is_personal = matches!(
            action,
            Action::UseOwnAccount | Action::EndSessions | Action::UseApiKeys | Action::Invite | Action::ExportUser
        );
        if is_personal && viewer.session_id().is_none() {
            return forbidden("An API key cannot do this; sign in.");
        }
        if action == Action::CreateInstitution && viewer.rank == Rank::Admin && !viewer.full_site_access {
            return forbidden("Only administrators with access to every site may create institutions.");
        }
        if action == Action::DefineAttributes && viewer.rank == Rank::Admin && !viewer.rights.is_attributes_admin {
            return forbidden("Only administrators with the right isAttributesAdmin may define attributes.");
        }
        Ok(())
    }

    /// Returns whether the viewer may do the action to a user of whom only the ID is known, as far as that can be told. If not,
    /// [`Viewer::may_on`] refuses it, whatever the user's row says.
    #[must_use]
    pub fn may_reach(&self, action: Action, user_id: Id) -> bool {
        match self.scope(action) {
            Scope::Nothing => false,
            Scope::Own => self.signed_in().is_ok_and(|viewer| viewer.user_id == user_id),
            Scope::Rank | Scope::License | Scope::All => true,
        }
    }

    /// Checks that the viewer may do the action to a user.
    ///
    /// # Errors
    /// `Unauthenticated` or `Forbidden`.
    pub fn may_on(&self, action: Action, subject: &user::Model) -> Result<(), Error> {
        self.may(action)?;
        let viewer = self.signed_in()?;
        let is_self = viewer.user_id == subject.id;
        let not_to_oneself = matches!(action, Action::SetActive | Action::DeleteUser | Action::UnlockUser);
        if is_self && not_to_oneself {
            return forbidden("You may not do this to yourself.");
        }
        let in_license = viewer.license_id == subject.license_id;
        match self.scope(action) {
            Scope::All => Ok(()),
            Scope::License if in_license => Ok(()),
            Scope::Rank if in_license && Rank::of_user(subject) <= viewer.rank => Ok(()),
            Scope::Rank | Scope::Own if is_self => Ok(()),
            Scope::Rank if in_license => forbidden("You may not do this to a user of higher rank."),
            _ => forbidden("You may not do this to this user."),
        }
    }

    /// Returns the viewer's permissions on a user.
    #[must_use]
    pub fn can(&self, subject: &user::Model) -> UserPermissions {
        let may = |action| self.may_on(action, subject).is_ok();
        UserPermissions {
            update: may(Action::UpdateUser),
            set_active: may(Action::SetActive),
            delete: may(Action::DeleteUser),
            see_private: may(Action::SeePrivate),
            see_admin_rights: may(Action::SeeAdminRights),
        }
    }

    /// Returns whether the viewer can see the private fields of a user.
    #[must_use]
    pub fn can_see_private(&self, subject: &user::Model) -> bool {
        self.may_on(Action::SeePrivate, subject).is_ok()
    }

    /// Returns whether the viewer can see the sessions of a user.
    #[must_use]
    pub fn can_see_sessions(&self, subject: &user::Model) -> bool {
        self.may_on(Action::SeeSessions, subject).is_ok()
    }

    /// Returns the rights of a user as far as the viewer can see them: all for administrators, and `isSuperuser` of themselves
    /// for every user.
    #[must_use]
    pub fn visible_rights(&self, subject: &user::Model) -> Option<AdminRights> {
        if self.may_on(Action::SeeAdminRights, subject).is_ok() {
            return Some(subject.rights());
        }
        let is_self = self.signed_in().is_ok_and(|viewer| viewer.user_id == subject.id);
        is_self.then_some(AdminRights { is_superuser: subject.is_superuser, ..AdminRights::default() })
    }

    /// Checks that the viewer may look up, filter and sort users by a column.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden` if the column is private.
    pub fn may_filter(&self, column: user::Column) -> Result<(), Error> {
        match column.privacy() {
            Privacy::Open => self.may(Action::ReadDirectory),
            Privacy::Private | Privacy::Right | Privacy::Internal => self.may(Action::FilterPrivate),
        }
    }

    /// Returns whether the viewer can see the values of a field in an audit event. Whether the viewer can see the event at all
    /// is decided by [`Viewer::visible_audit_events`].
    #[must_use]
    pub fn can_see_change(&self, license_id: Id, subject_type: SubjectType, subject_id: Id, field: &str) -> bool {
        let Ok(viewer) = self.signed_in() else { return false };
        let is_self = subject_type == SubjectType::User && subject_id == viewer.user_id;
        let is_within = |action| match self.scope(action) {
            Scope::All => true,
            Scope::License | Scope::Rank => viewer.license_id == license_id,
            Scope::Own => is_self,
            Scope::Nothing => false,
        };
        let privacy = match subject_type {
            SubjectType::User if field.starts_with(ATTRIBUTES) => Privacy::Private,
            SubjectType::User => user::Column::of_field(field).map_or(Privacy::Open, user::Column::privacy),
            _ => Privacy::Open,
        };
        match privacy {
            Privacy::Open => true,
            Privacy::Private => is_within(Action::SeePrivate),
            Privacy::Right => {
                // As for `adminRights` itself: every user can see whether they are a superuser.
                let is_own = is_self && field == "adminRights.isSuperuser";
                is_own || is_within(Action::SeeAdminRights)
            }
            Privacy::Internal => false,
        }
    }

    /// Returns whether the viewer may send documents that are not trusted, on a server that allows it to administrators in the
    /// playground. Programs with an API key may not.
    #[must_use]
    pub fn may_send_documents(&self) -> bool {
        let has_session = self.signed_in().is_ok_and(|viewer| viewer.session_id().is_some());
        has_session && self.may(Action::UseDeveloperTools).is_ok()
    }

    /// Checks that the viewer may create an API key with a role.
    ///
    /// # Errors
    /// `Unauthenticated`, or `Forbidden` if the role has a higher rank than the viewer.
    pub fn may_create_api_key(&self, role: Role) -> Result<(), Error> {
        self.may(Action::UseApiKeys)?;
        if Rank::of_role(role) > self.signed_in()?.rank {
            return forbidden("An API key cannot have a higher rank than the user who creates it.");
        }
        Ok(())
    }
}

/// Returns whether two objects belong to the same license. Objects of different licenses are never linked.
#[must_use]
pub fn is_same_license(one: Id, other: Id) -> bool {
    one == other
}

/// The first and last day of a license.
#[derive(Clone, Copy, Debug)]
pub struct LicenseTerm {
    pub starts_on: Date,
    pub expires_on: Option<Date>,
}

impl LicenseTerm {
    fn contains_today(self) -> bool {
        let today = Date::today();
        self.starts_on <= today && self.expires_on.is_none_or(|last| last >= today)
    }
}

/// Returns whether a user is active and today is within the term of their license. No other user can sign in or use a session.
#[must_use]
pub fn is_active_in_valid_license(user: &user::Model, term: LicenseTerm) -> bool {
    user.is_active && term.contains_today()
}

/// Returns whether a license has begun and not expired.
#[must_use]
pub fn is_in_force(license: &license::Model) -> bool {
    LicenseTerm { starts_on: license.starts_on, expires_on: license.expires_on }.contains_today()
}

/// Returns whether a user is an active superuser. The last one must remain a superuser.
#[must_use]
pub fn is_active_superuser(user: &user::Model) -> bool {
    user.is_active && user.is_superuser
}

/// Returns whether a user is an active license administrator. The last one of a license must remain one.
#[must_use]
pub fn is_active_license_admin(user: &user::Model) -> bool {
    user.is_active && user.role == Role::LicenseAdmin
}

fn forbidden<T>(reason: &str) -> Result<T, Error> {
    Err(Error::Forbidden(reason.to_owned()))
}

/// Guard of a root field: lets it run only if the viewer may do its action.
pub struct RequiresAction;

impl Guard for RequiresAction {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(ctx.data::<Arc<CurrentViewer>>()?.viewer().may(action_of(ctx.field().name())?)?)
    }
}
