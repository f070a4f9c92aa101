//! Who may see and change what: every decision, and nothing else in Roster compares a role, a rank or a license.
//!
//! [`reach`] in `table.rs` is the table: how far each action reaches for whom. The rest applies it: [`Viewer::may`] at a
//! root field, before any row is known; [`Viewer::may_on`] to a person; the conditions of `sight.rs` to rows in SQL.
//! Below them and in `place.rs` stand the few rules that no table can say. Ranks: user < administrator < license
//! administrator < superuser.

mod policy;
mod resources;
mod sign_in;
mod viewer;
mod visibility;

use std::sync::Arc;

use async_graphql::{Context, Guard, SimpleObject};
use sea_orm::ModelTrait;

pub use self::policy::{Action, OWN_FIELDS, ROOT_FIELDS, Scope, action_of, reach};
pub use self::resources::{SitesOf, sites_of};
pub use self::sign_in::lets_in;
use self::sign_in::{SECRETS, SIGN_IN_FIELDS, refuse_key, sign_in_fields};
use self::viewer::Rank;
pub use self::viewer::{AuthMethod, CurrentViewer, SignedIn, Viewer, ViewerRow};
pub use self::visibility::{
    active_in_valid_license, active_license_admins, active_superusers, administrators, in_force, of_license,
};
use crate::entity::attribute_definition;
use crate::entity::audit_event::SubjectType;
use crate::entity::license;
use crate::entity::user::{self, AdminRights, Privacy, Role};
use crate::error::Error;
use crate::scalar::{Date, Id};

/// How a field begins that is a custom attribute.
pub const ATTRIBUTES: &str = "attributes.";

/// The viewer's permissions on a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject)]
pub struct UserPermissions {
    /// Whether the viewer can change at least some fields of the user.
    pub update: bool,
    /// Whether the viewer can activate and deactivate the user.
    pub set_active: bool,
    /// Whether the viewer can erase the user.
    pub delete: bool,
    /// Whether the viewer can see the user's private fields.
    pub see_private: bool,
    /// Whether the viewer can see all administrator rights of the user.
    pub see_admin_rights: bool,
}

impl Viewer {
    /// How far an action reaches for the viewer.
    #[must_use]
    pub fn scope(&self, action: Action) -> Scope {
        let [anonymous, user, admin, license_admin, superuser] = reach(action);
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

    /// Whether the action is open to the viewer, whatever it is done to.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`.
    pub fn may(&self, action: Action) -> Result<(), Error> {
        let reach = self.scope(action);
        let viewer = match (reach, self) {
            (Scope::Nothing, Self::Anonymous) => return Err(Error::Unauthenticated),
            (Scope::Nothing, _) => return refuse("Only administrators may do this."),
            (_, Self::Anonymous) => return Ok(()),
            (_, Self::SignedIn(viewer)) => viewer,
        };
        // What proves who somebody is stays in the hands of people.
        let is_personal =
            matches!(action, Action::UseOwnAccount | Action::EndSessions | Action::UseApiKeys | Action::Invite);
        if is_personal && viewer.session_id().is_none() {
            return refuse("An API key cannot do this; sign in.");
        }
        if action == Action::CreateInstitution && viewer.rank == Rank::Admin && !viewer.full_site_access {
            return refuse("Only administrators with access to every site may create institutions.");
        }
        if action == Action::DefineAttributes && viewer.rank == Rank::Admin && !viewer.rights.is_attributes_admin {
            return refuse("Only administrators with the right isAttributesAdmin may define attributes.");
        }
        Ok(())
    }

    /// Whether the viewer may do something to a person.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`.
    pub fn may_on(&self, action: Action, subject: &user::Model) -> Result<(), Error> {
        self.may(action)?;
        let viewer = self.signed_in()?;
        let is_self = viewer.user_id == subject.id;
        let not_to_oneself = matches!(action, Action::SetActive | Action::DeleteUser | Action::UnlockUser);
        if is_self && not_to_oneself {
            return refuse("You may not do this to yourself.");
        }
        let in_license = viewer.license_id == subject.license_id;
        match self.scope(action) {
            Scope::All => Ok(()),
            Scope::License if in_license => Ok(()),
            Scope::Rank if in_license && Rank::of_user(subject) <= viewer.rank => Ok(()),
            Scope::Rank | Scope::Own if is_self => Ok(()),
            Scope::Rank if in_license => refuse("You may not do this to a user of higher rank."),
            _ => refuse("You may not do this to this user."),
        }
    }

    /// The viewer's permissions on a user.
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

    /// Whether private fields of a person are shown to the viewer.
    #[must_use]
    pub fn can_see_private(&self, subject: &user::Model) -> bool {
        self.may_on(Action::SeePrivate, subject).is_ok()
    }

    /// Whether the viewer sees the sessions of a person.
    #[must_use]
    pub fn can_see_sessions(&self, subject: &user::Model) -> bool {
        self.may_on(Action::SeeSessions, subject).is_ok()
    }

    /// The rights of a person as far as the viewer may see them: all for administrators, his own `isSuperuser` for
    /// everybody.
    #[must_use]
    pub fn visible_rights(&self, subject: &user::Model) -> Option<AdminRights> {
        if self.may_on(Action::SeeAdminRights, subject).is_ok() {
            return Some(subject.rights());
        }
        let is_self = self.signed_in().is_ok_and(|viewer| viewer.user_id == subject.id);
        is_self.then_some(AdminRights { is_superuser: subject.is_superuser, ..AdminRights::NONE })
    }

    /// Whether the viewer may look people up, filter or sort them by a column.
    ///
    /// # Errors
    /// `Forbidden`, for what is private.
    pub fn may_filter(&self, column: user::Column) -> Result<(), Error> {
        match column.privacy() {
            Privacy::Open => self.may(Action::ReadDirectory),
            Privacy::Private | Privacy::Right | Privacy::Internal => self.may(Action::FilterPrivate),
        }
    }

    /// Whether the viewer sees what an audit event says of a field. That he sees the event is for
    /// [`Viewer::visible_audit_events`] to say.
    #[must_use]
    pub fn can_see_change(&self, license_id: Id, subject: (SubjectType, Id), field: &str) -> bool {
        let Ok(viewer) = self.signed_in() else { return false };
        let reaches = |action| match self.scope(action) {
            Scope::All => true,
            Scope::License | Scope::Rank => viewer.license_id == license_id,
            Scope::Own => subject == (SubjectType::User, viewer.user_id),
            Scope::Nothing => false,
        };
        let privacy = match subject.0 {
            SubjectType::User if field.starts_with(ATTRIBUTES) => Privacy::Private,
            SubjectType::User => user::Column::of_field(field).map_or(Privacy::Open, user::Column::privacy),
            _ => Privacy::Open,
        };
        match privacy {
            Privacy::Open => true,
            Privacy::Private => reaches(Action::SeePrivate),
            Privacy::Right => {
                // As of `adminRights` itself: everybody sees whether he is a superuser.
                let own = field == "adminRights.isSuperuser" && subject == (SubjectType::User, viewer.user_id);
                own || reaches(Action::SeeAdminRights)
            }
            Privacy::Internal => false,
        }
    }

    /// Whether the viewer may enter a person as described, where `given` are the fields that the input has.
    ///
    /// # Errors
    /// `Forbidden`, naming the fields, or the right that is missing.
    pub fn may_create(&self, new: &user::Model, given: &[&str]) -> Result<(), Error> {
        self.may(Action::CreateUser)?;
        let viewer = self.signed_in()?;
        let secrets: Vec<&str> = given.iter().copied().filter(|field| SECRETS.contains(field)).collect();
        if viewer.session_id().is_none() && !secrets.is_empty() {
            return refuse_key(&secrets.join(", "));
        }
        viewer.may_give(&user::Model::empty(new.id, new.license_id), new)
    }

    /// Whether the viewer may change a person from `old` to `new`, where `given` are the fields that the input has, and
    /// `attributes` the custom attributes; `holds_more` is as [`Viewer::may_let_in`] has it.
    ///
    /// # Errors
    /// `Forbidden`, naming the fields or the right.
    pub fn may_update(
        &self,
        (old, holds_more): (&user::Model, bool),
        new: &user::Model,
        given: &[&str],
        attributes: &[attribute_definition::Model],
    ) -> Result<(), Error> {
        self.may_on(Action::UpdateUser, old)?;
        let viewer = self.signed_in()?;
        let lets_in = sign_in_fields(old, new, given);
        let of_sign_in = given.iter().any(|field| SIGN_IN_FIELDS.contains(field));
        // Who is above the viewer can only be himself, asking by a key of a lower role.
        if self.scope(Action::UpdateUser) == Scope::Own || Rank::of_user(old) > viewer.rank {
            let fields = given.iter().filter(|field| !OWN_FIELDS.contains(field)).map(ToString::to_string);
            let attributes = attributes.iter().filter(|definition| !definition.user_editable);
            let attributes = attributes.map(|definition| format!("{ATTRIBUTES}{}", definition.name));
            let beyond: Vec<String> = fields.chain(attributes).collect();
            return match beyond.as_slice() {
                [] => Ok(()),
                _ => refuse(&format!("You may not change these fields: {}.", beyond.join(", "))),
            };
        }
        if viewer.user_id == old.id {
            if of_sign_in {
                return refuse(
                    "Your own password, PIN and email address cannot be changed this way; use `changePassword`, `setPin` or `requestEmailChange`.",
                );
            }
            let changes_rank = user::OF_RANK.iter().any(|column| old.get(*column) != new.get(*column));
            if viewer.rank < Rank::LicenseAdmin && changes_rank {
                return refuse("You may not change your own rank.");
            }
        } else if !lets_in.is_empty() {
            if viewer.session_id().is_none() {
                return refuse_key(&lets_in.join(", "));
            }
            self.may_let_in(old, holds_more)?;
        }
        viewer.may_give(old, new)
    }

    /// Whether the viewer may make an API key of a role.
    ///
    /// # Errors
    /// `Forbidden` for a rank above his own.
    pub fn may_create_api_key(&self, role: Role) -> Result<(), Error> {
        self.may(Action::UseApiKeys)?;
        if Rank::of_role(role) > self.signed_in()?.rank {
            return refuse("An API key cannot have a higher rank than the user who creates it.");
        }
        Ok(())
    }
}

impl SignedIn {
    /// Nobody gives a right that he does not hold.
    fn may_give(&self, old: &user::Model, new: &user::Model) -> Result<(), Error> {
        let refuse = |what: &str| refuse(&format!("You may not grant or revoke rights that you do not hold: {what}."));
        if self.rank < Rank::Superuser && old.is_superuser != new.is_superuser {
            return refuse("adminRights.isSuperuser");
        }
        if Rank::of_user(new) > self.rank {
            return refuse("a rank above your own");
        }
        if self.rank >= Rank::LicenseAdmin {
            return Ok(());
        }
        if new.full_site_access && !old.full_site_access && !self.full_site_access {
            return refuse("fullSiteAccess");
        }
        let held = self.rights.named();
        let gained = new.rights().named().into_iter().zip(old.rights().named()).zip(held);
        // isAdmin is the rank of an administrator, and what isGroupAdmin may do every administrator may.
        let by_rank = |name: &str| matches!(name, "adminRights.isAdmin" | "adminRights.isGroupAdmin");
        match gained.into_iter().find(|(((name, new), (_, old)), (_, held))| *new && !old && !held && !by_rank(name)) {
            Some((((what, _), _), _)) => refuse(what),
            None => Ok(()),
        }
    }
}

/// Whether two things belong to one license: what is of another one is never linked to it.
#[must_use]
pub fn is_same_license(one: Id, other: Id) -> bool {
    one == other
}

/// Whether a person counts, whose license has this first and this last day: who does not is nobody.
#[must_use]
pub fn is_active_in_valid_license(person: &user::Model, (first, last): (Date, Option<Date>)) -> bool {
    person.is_active && is_today_within(first, last)
}

/// Whether a license has begun and not expired.
#[must_use]
pub fn is_in_force(license: &license::Model) -> bool {
    is_today_within(license.starts_on, license.expires_on)
}

fn is_today_within(first: Date, last: Option<Date>) -> bool {
    let today = Date::today();
    first <= today && last.is_none_or(|last| last >= today)
}

/// Whether a person is a superuser who counts: the last one stays what he is.
#[must_use]
pub fn is_active_superuser(person: &user::Model) -> bool {
    person.is_active && person.is_superuser
}

/// Whether a person is a license administrator who counts: the last one of a license stays what he is.
#[must_use]
pub fn is_active_license_admin(person: &user::Model) -> bool {
    person.is_active && person.role == Role::LicenseAdmin
}

fn refuse<T>(why: &str) -> Result<T, Error> {
    Err(Error::Forbidden(why.to_owned()))
}

/// Lets a root field run only if its action is open to the viewer.
pub struct RequiresAction;

impl Guard for RequiresAction {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(ctx.data::<Arc<CurrentViewer>>()?.viewer().may(action_of(ctx.field().name())?)?)
    }
}
