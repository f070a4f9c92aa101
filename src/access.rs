//! Who may see and change what: every decision, and the SQL condition of what a viewer sees.
//!
//! Ranks: user < administrator < license administrator < superuser. Everybody but a superuser stays inside his own
//! license: what lies outside does not exist for him.

use std::sync::{Arc, OnceLock};

use async_graphql::{Context, Guard};
use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Condition, Expr, ExprTrait, SimpleExpr};

use crate::entity::membership::GroupRole;
use crate::entity::user::{AdminRights, Role};
use crate::entity::{group, institution, license, user};
use crate::error::Error;
use crate::scalar::Id;

/// How far a person's rights reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    User,
    Admin,
    LicenseAdmin,
    Superuser,
}

impl Rank {
    /// The rank that a role and rights give.
    #[must_use]
    pub fn of(role: Role, is_staff: bool, rights: AdminRights) -> Self {
        match role {
            _ if rights.is_superuser => Self::Superuser,
            Role::LicenseAdmin => Self::LicenseAdmin,
            Role::Admin => Self::Admin,
            Role::User if is_staff || rights.is_admin => Self::Admin,
            Role::User => Self::User,
        }
    }

    fn of_user(user: &user::Model) -> Self {
        Self::of(user.role, user.is_staff, user.rights())
    }
}

/// Who is asking, as read from the database for this one request.
#[derive(Clone, Debug)]
pub enum Viewer {
    Anonymous,
    SignedIn(SignedIn),
}

/// Somebody with a session that counts.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub user_id: Id,
    pub session_id: Id,
    pub license_id: Id,
    pub rank: Rank,
    pub rights: AdminRights,
    pub full_site_access: bool,
}

impl SignedIn {
    /// A person with a session that has just begun.
    #[must_use]
    pub fn new(user: &user::Model, session_id: Id) -> Self {
        Self {
            user_id: user.id,
            session_id,
            license_id: user.license_id,
            rank: Rank::of_user(user),
            rights: user.rights(),
            full_site_access: user.full_site_access,
        }
    }
}

/// Who is asking in the course of one request: whoever signs in by it sees the rest of its answer with his own eyes.
#[derive(Debug)]
pub struct Asking {
    at_first: Viewer,
    since: OnceLock<Viewer>,
}

impl Asking {
    /// As the token says.
    #[must_use]
    pub fn new(viewer: Viewer) -> Self {
        Self { at_first: viewer, since: OnceLock::new() }
    }

    /// Who is asking now.
    #[must_use]
    pub fn viewer(&self) -> &Viewer {
        self.since.get().unwrap_or(&self.at_first)
    }

    /// Notes that somebody signed in. Only the first one of a request counts.
    pub fn signs_in(&self, viewer: SignedIn) {
        let _ = self.since.set(Viewer::SignedIn(viewer));
    }
}

/// What can be asked for at a root field, before any row is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sign in.
    SignIn,
    /// See who is asking; end one's own session.
    UseSession,
    /// Look at people, groups, institutions and the license.
    ReadDirectory,
    /// List inactive people too.
    ListInactive,
    /// Look people up by what is private.
    FilterPrivate,
    /// Enter people.
    CreateUser,
    /// Change people; whom and what is for [`Viewer::may_update`] to say.
    UpdateUser,
    /// Activate and deactivate people; whom is for [`Viewer::may_set_active`] to say.
    SetActive,
    /// Make groups.
    CreateGroup,
    /// Change who belongs to a group; which is for [`Viewer::may_change_members`] to say.
    ChangeMembers,
    /// Enter institutions.
    CreateInstitution,
}

/// What everybody may change of himself.
const OWN_FIELDS: [&str; 13] = [
    "firstName",
    "lastName",
    "nickname",
    "position",
    "phone",
    "mobile",
    "birthDate",
    "gender",
    "website",
    "googleScholar",
    "orcidId",
    "atlasPreference",
    "certifiedEmail",
];

impl Viewer {
    /// Whether the action is open to the viewer, whatever it is done to.
    ///
    /// # Errors
    /// `Unauthenticated`, `Forbidden`.
    pub fn may(&self, action: Action) -> Result<(), Error> {
        let needed = match action {
            Action::SignIn => return Ok(()),
            Action::UseSession
            | Action::ReadDirectory
            | Action::UpdateUser
            | Action::CreateGroup
            | Action::ChangeMembers => Rank::User,
            Action::ListInactive
            | Action::FilterPrivate
            | Action::CreateUser
            | Action::SetActive
            | Action::CreateInstitution => Rank::Admin,
        };
        let viewer = self.signed_in()?;
        if viewer.rank < needed {
            return Err(Error::Forbidden("Only administrators may do this.".to_owned()));
        }
        if action == Action::CreateInstitution && viewer.rank == Rank::Admin && !viewer.full_site_access {
            return Err(Error::Forbidden(
                "Only administrators with access to every site may enter institutions.".to_owned(),
            ));
        }
        Ok(())
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// `Unauthenticated` where nobody is.
    pub fn signed_in(&self) -> Result<&SignedIn, Error> {
        match self {
            Self::Anonymous => Err(Error::Unauthenticated),
            Self::SignedIn(viewer) => Ok(viewer),
        }
    }

    /// Whether private fields of a person are shown to the viewer.
    #[must_use]
    pub fn sees_private(&self, subject: &user::Model) -> bool {
        self.signed_in().is_ok_and(|viewer| viewer.user_id == subject.id || viewer.administers(subject.license_id))
    }

    /// The rights of a person as far as the viewer may see them: all for administrators, his own `isSuperuser` for
    /// everybody.
    #[must_use]
    pub fn sees_rights(&self, subject: &user::Model) -> Option<AdminRights> {
        let viewer = self.signed_in().ok()?;
        if viewer.administers(subject.license_id) {
            return Some(subject.rights());
        }
        let own = AdminRights {
            is_superuser: subject.is_superuser,
            is_admin: false,
            is_project_admin: false,
            is_group_admin: false,
            is_taxonomies_admin: false,
            is_resources_admin: false,
            is_attributes_admin: false,
            is_contact_form_email_receiver: false,
        };
        (viewer.user_id == subject.id).then_some(own)
    }

    /// Whether the viewer may enter a person as described.
    ///
    /// # Errors
    /// `Forbidden`, naming the right that is missing.
    pub fn may_create(&self, new: &user::Model) -> Result<(), Error> {
        self.may(Action::CreateUser)?;
        let viewer = self.signed_in()?;
        viewer.may_give(&user::Model::blank(new.id, new.license_id), new)
    }

    /// Whether the viewer may change a person from `old` to `new`, where `given` are the fields that the input has.
    ///
    /// # Errors
    /// `Forbidden`, naming the fields or the right.
    pub fn may_update(&self, old: &user::Model, new: &user::Model, given: &[&str]) -> Result<(), Error> {
        let viewer = self.signed_in()?;
        if !viewer.may_administer(old) {
            let beyond: Vec<&str> = given.iter().filter(|field| !OWN_FIELDS.contains(field)).copied().collect();
            return match (viewer.user_id == old.id, beyond.as_slice()) {
                (true, []) => Ok(()),
                (true, _) => Err(Error::Forbidden(format!("You may not change these fields: {}.", beyond.join(", ")))),
                (false, _) => Err(Error::Forbidden("You may not change this person.".to_owned())),
            };
        }
        if viewer.user_id == old.id && given.iter().any(|field| matches!(*field, "password" | "email")) {
            return Err(Error::Forbidden(
                "Your own password and e-mail address change only with your current password.".to_owned(),
            ));
        }
        if viewer.user_id == old.id && viewer.rank < Rank::LicenseAdmin && old.role != new.role {
            return Err(Error::Forbidden("You may not change your own role.".to_owned()));
        }
        viewer.may_give(old, new)
    }

    /// Whether the viewer may activate or deactivate a person.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn may_set_active(&self, subject: &user::Model) -> Result<(), Error> {
        self.may(Action::SetActive)?;
        let viewer = self.signed_in()?;
        if viewer.user_id == subject.id {
            return Err(Error::Forbidden("You may not activate or deactivate yourself.".to_owned()));
        }
        if viewer.may_administer(subject) {
            Ok(())
        } else {
            Err(Error::Forbidden("You may not do this to a person of higher rank.".to_owned()))
        }
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
        let viewer = self.signed_in()?;
        let of_owner = from == Some(GroupRole::Owner) || to == Some(GroupRole::Owner);
        let allowed = match own {
            _ if viewer.rank >= Rank::Admin || viewer.rights.is_group_admin => true,
            Some(GroupRole::Owner) => true,
            Some(GroupRole::Manager) => !of_owner,
            Some(GroupRole::Member) | None => false,
        };
        if allowed {
            Ok(())
        } else {
            Err(Error::Forbidden(
                "Only the group's managers choose its members, and only its owners its owners.".to_owned(),
            ))
        }
    }

    /// Whether the viewer sees the sessions of a person.
    #[must_use]
    pub fn sees_sessions(&self, subject: &user::Model) -> bool {
        self.sees_private(subject)
    }

    /// The people that the viewer sees in lists; inactive ones only where they are asked for.
    #[must_use]
    pub fn lists_users(&self, include_inactive: bool) -> Condition {
        let license = self.in_license(user::Column::LicenseId);
        if include_inactive { license } else { license.add(user::Column::IsActive.eq(true)) }
    }

    /// The people that the viewer can look up one by one: administrators find inactive ones too, and everybody himself.
    #[must_use]
    pub fn finds_users(&self) -> Condition {
        self.lists_users(self.may(Action::ListInactive).is_ok())
    }

    /// The groups that the viewer sees.
    #[must_use]
    pub fn sees_groups(&self) -> Condition {
        self.in_license(group::Column::LicenseId)
    }

    /// The institutions that the viewer sees.
    #[must_use]
    pub fn sees_institutions(&self) -> Condition {
        self.in_license(institution::Column::LicenseId)
    }

    /// The licenses that the viewer sees.
    #[must_use]
    pub fn sees_licenses(&self) -> Condition {
        self.in_license(license::Column::Id)
    }

    /// The people whose sessions the viewer sees.
    #[must_use]
    pub fn sees_sessions_of(&self) -> Condition {
        match self.signed_in() {
            Ok(viewer) if viewer.rank < Rank::Admin => Condition::all().add(user::Column::Id.eq(viewer.user_id)),
            _ => self.in_license(user::Column::LicenseId),
        }
    }

    fn in_license(&self, column: impl ColumnTrait) -> Condition {
        match self {
            Self::Anonymous => Condition::all().add(nothing()),
            Self::SignedIn(viewer) if viewer.rank == Rank::Superuser => Condition::all(),
            Self::SignedIn(viewer) => Condition::all().add(column.eq(viewer.license_id)),
        }
    }

    /// What a list shown to the viewer depends on: a cursor of another viewer's license is of another list.
    #[must_use]
    pub fn horizon(&self) -> String {
        match self {
            Self::Anonymous => "nothing".to_owned(),
            Self::SignedIn(viewer) if viewer.rank == Rank::Superuser => "everything".to_owned(),
            Self::SignedIn(viewer) => viewer.license_id.0.to_string(),
        }
    }
}

impl SignedIn {
    fn administers(&self, license_id: Id) -> bool {
        self.rank == Rank::Superuser || (self.rank >= Rank::Admin && self.license_id == license_id)
    }

    fn may_administer(&self, subject: &user::Model) -> bool {
        let own_license = self.license_id == subject.license_id;
        match self.rank {
            Rank::Superuser => true,
            Rank::LicenseAdmin => own_license && Rank::of_user(subject) <= Rank::LicenseAdmin,
            Rank::Admin => own_license && Rank::of_user(subject) <= Rank::Admin,
            Rank::User => false,
        }
    }

    /// Nobody gives a right that he does not hold.
    fn may_give(&self, old: &user::Model, new: &user::Model) -> Result<(), Error> {
        let refuse = |what: &str| {
            Err(Error::Forbidden(format!("You may not give or take what you do not hold yourself: {what}.")))
        };
        if self.rank < Rank::Superuser && old.is_superuser != new.is_superuser {
            return refuse("adminRights.isSuperuser");
        }
        if Rank::of_user(new) > self.rank {
            return refuse("a rank above your own");
        }
        if self.rank >= Rank::LicenseAdmin {
            return Ok(());
        }
        let gained = [
            ("fullSiteAccess", !old.full_site_access && new.full_site_access, self.full_site_access),
            ("adminRights.isProjectAdmin", !old.is_project_admin && new.is_project_admin, self.rights.is_project_admin),
            (
                "adminRights.isTaxonomiesAdmin",
                !old.is_taxonomies_admin && new.is_taxonomies_admin,
                self.rights.is_taxonomies_admin,
            ),
            (
                "adminRights.isResourcesAdmin",
                !old.is_resources_admin && new.is_resources_admin,
                self.rights.is_resources_admin,
            ),
            (
                "adminRights.isAttributesAdmin",
                !old.is_attributes_admin && new.is_attributes_admin,
                self.rights.is_attributes_admin,
            ),
            (
                "adminRights.isContactFormEmailReceiver",
                !old.is_contact_form_email_receiver && new.is_contact_form_email_receiver,
                self.rights.is_contact_form_email_receiver,
            ),
        ];
        match gained.iter().find(|(_, gained, held)| *gained && !held) {
            Some((what, _, _)) => refuse(what),
            None => Ok(()),
        }
    }
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

/// The condition that no row meets.
fn nothing() -> SimpleExpr {
    Expr::val(1).eq(0)
}

impl Guard for Action {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(ctx.data::<Arc<Asking>>()?.viewer().may(*self)?)
    }
}
