//! A second implementation of the rules of access, independent of `access`.

use async_graphql::MaybeUndefined::Value as Given;
use roster::entity::user::{AdminRightsInput, Role, UserFields};

use crate::user_fields::user_field;

/// The fields of `adminRights`.
pub const RIGHTS: [&str; 8] = [
    "isSuperuser",
    "isAdmin",
    "isProjectAdmin",
    "isGroupAdmin",
    "isTaxonomiesAdmin",
    "isResourcesAdmin",
    "isAttributesAdmin",
    "isContactFormEmailReceiver",
];

/// The custom attributes of both licenses: the name in an input, whether users can change their own value, and whether
/// all users see it.
pub const ATTRIBUTES: [(&str, bool, bool); 2] = [("badge", false, true), ("birthplace", true, false)];

/// The fields that a user signs in with. `updateUser` changes them only for other users whose rights the viewer holds;
/// users change their own with other mutations.
const SIGN_IN: [&str; 3] = ["password", "pin", "email"];

pub const DONE: &str = "done";
pub const FORBIDDEN: &str = "FORBIDDEN";
pub const NOT_FOUND: &str = "NOT_FOUND";
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";

/// The rank of a role: `USER` 0, `ADMIN` 1, `LICENSE_ADMIN` 2. Superusers have rank 3.
pub fn rank_of(role: &str) -> u8 {
    match role {
        "USER" => 0,
        "ADMIN" => 1,
        "LICENSE_ADMIN" => 2,
        other => panic!("{other} is not a role"),
    }
}

/// The values of a user that determine their rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRights {
    /// The license: A is the license of the viewers.
    pub license: char,
    pub role: &'static str,
    pub is_staff: bool,
    pub full_site_access: bool,
    /// Whether the user holds each of [`RIGHTS`].
    pub rights: [bool; 8],
    pub is_active: bool,
}

/// A user of license A.
pub const USER: UserRights = UserRights {
    license: 'A',
    role: "USER",
    is_staff: false,
    full_site_access: false,
    rights: [false; 8],
    is_active: true,
};

impl UserRights {
    pub const fn role(self, role: &'static str) -> Self {
        Self { role, ..self }
    }

    pub const fn staff(self) -> Self {
        Self { is_staff: true, ..self }
    }

    pub const fn everywhere(self) -> Self {
        Self { full_site_access: true, ..self }
    }

    pub const fn inactive(self) -> Self {
        Self { is_active: false, ..self }
    }

    pub const fn of(self, license: char) -> Self {
        Self { license, ..self }
    }

    pub fn with(mut self, right: &str) -> Self {
        self.set_right(right, true);
        self
    }

    pub fn set_right(&mut self, right: &str, held: bool) {
        let place = RIGHTS.iter().position(|name| *name == right).unwrap();
        self.rights[place] = held;
    }

    fn has(&self, right: &str) -> bool {
        RIGHTS.iter().zip(self.rights).any(|(name, held)| *name == right && held)
    }

    fn is_superuser(&self) -> bool {
        self.has("isSuperuser")
    }

    pub fn rank(&self) -> u8 {
        match rank_of(self.role) {
            _ if self.is_superuser() => 3,
            0 if self.is_staff || self.has("isAdmin") => 1,
            rank => rank,
        }
    }

    fn includes_every_site(&self) -> bool {
        self.full_site_access || self.role == "LICENSE_ADMIN"
    }

    /// The input that creates this user.
    pub fn fields(&self) -> UserFields {
        self.with_fields(UserFields::default())
    }

    /// The input that creates this user with other fields.
    pub fn with_fields(&self, others: UserFields) -> UserFields {
        let [superuser, admin, project, group, taxonomies, resources, attributes, receiver] = self.rights.map(Given);
        let role = match self.role {
            "LICENSE_ADMIN" => Role::LicenseAdmin,
            "ADMIN" => Role::Admin,
            _ => Role::User,
        };
        UserFields {
            role: Given(role),
            is_staff: Given(self.is_staff),
            full_site_access: Given(self.full_site_access),
            admin_rights: Given(AdminRightsInput {
                is_superuser: superuser,
                is_admin: admin,
                is_project_admin: project,
                is_group_admin: group,
                is_taxonomies_admin: taxonomies,
                is_resources_admin: resources,
                is_attributes_admin: attributes,
                is_contact_form_email_receiver: receiver,
            }),
            ..others
        }
    }
}

/// A change of a user.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// A change of a field that grants no rights.
    Plain,
    Role(&'static str),
    Staff(bool),
    Everywhere(bool),
    Right(&'static str, bool),
}

impl Change {
    pub fn of(self, user: &UserRights) -> UserRights {
        let mut user = *user;
        match self {
            Self::Plain => {}
            Self::Role(role) => {
                // Site access that came with the role is lost with it.
                user.full_site_access &= user.role != "LICENSE_ADMIN" || role == "LICENSE_ADMIN";
                user.role = role;
            }
            Self::Staff(is_staff) => user.is_staff = is_staff,
            Self::Everywhere(full_site_access) => user.full_site_access = full_site_access,
            Self::Right(right, held) => user.set_right(right, held),
        }
        user
    }
}

/// The maker of a request.
#[derive(Clone, Copy, Debug)]
pub struct Viewer {
    /// The user; `None` if anonymous.
    pub user: Option<UserRights>,
    /// The role of the API key; `None` for sessions.
    pub key: Option<&'static str>,
}

/// The user that an action is for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub user: UserRights,
    pub is_self: bool,
}

/// A change of a group's members.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    /// The license of the group.
    pub license: char,
    /// The viewer's role in the group.
    pub own: Option<&'static str>,
    pub from: Option<&'static str>,
    pub to: Option<&'static str>,
    pub user: UserRights,
}

impl Viewer {
    fn user(&self) -> UserRights {
        self.user.unwrap()
    }

    /// The rank of the viewer. A key has the rank of its role, but at most the current rank of its user.
    pub fn rank(&self) -> u8 {
        let own = self.user().rank();
        self.key.map_or(own, |role| own.min(rank_of(role)))
    }

    /// Whether a license is visible to the viewer.
    pub fn reaches(&self, license: char) -> bool {
        self.rank() == 3 || self.user().license == license
    }

    /// Whether the viewer holds a right, so that they can grant it.
    fn holds(&self, right: &str) -> bool {
        match self.rank() {
            3 => true,
            2 => right != "isSuperuser",
            1 if matches!(right, "isAdmin" | "isGroupAdmin") => true,
            _ => self.key.is_none() && self.user().has(right),
        }
    }

    fn holds_every_site(&self) -> bool {
        self.rank() >= 2 || self.user().includes_every_site()
    }

    /// Whether the viewer can use a root field at all.
    pub fn opens(&self, field: &str) -> Result<(), &'static str> {
        if self.user.is_none() {
            let is_open = matches!(
                field,
                "viewer"
                    | "login"
                    | "activateAccount"
                    | "requestPasswordReset"
                    | "resetPassword"
                    | "confirmEmailChange"
                    | "registerUser"
            );
            return if is_open { Ok(()) } else { Err(UNAUTHENTICATED) };
        }
        let is_personal = matches!(
            field,
            "logout"
                | "changePassword"
                | "setPin"
                | "requestEmailChange"
                | "endSessions"
                | "forgetDevice"
                | "resendActivation"
                | "exportUser"
                | "createApiKey"
                | "revokeApiKey"
                | "apiKeys"
        );
        let of_administrators = matches!(
            field,
            "createUser"
                | "importUsers"
                | "setActive"
                | "deleteUser"
                | "unlockUser"
                | "resendActivation"
                | "createInstitution"
                | "updateInstitution"
                | "deleteInstitution"
                | "grantSiteAccess"
                | "revokeSiteAccess"
                | "defineAttribute"
                | "removeAttribute"
                | "createApiKey"
                | "revokeApiKey"
                | "apiKeys"
        );
        let of_definers = matches!(field, "defineAttribute" | "removeAttribute");
        let defines_nothing = of_definers && self.rank() == 1 && !self.holds("isAttributesAdmin");
        let lacks_sites = field == "createInstitution" && !self.holds_every_site();
        let is_no_license_admin = field == "renameLicense" && self.rank() < 2;
        if (is_personal && self.key.is_some())
            || (of_administrators && self.rank() == 0)
            || lacks_sites
            || defines_nothing
            || is_no_license_admin
        {
            return Err(FORBIDDEN);
        }
        Ok(())
    }

    pub fn lists_inactive(&self) -> bool {
        self.rank() >= 1
    }

    /// Whether a lookup of a user finds them.
    pub fn finds(&self, target: &Target) -> bool {
        self.reaches(target.user.license) && (target.user.is_active || self.lists_inactive())
    }

    pub fn sees_private(&self, target: &Target) -> bool {
        target.is_self || (self.rank() >= 1 && self.reaches(target.user.license))
    }

    pub fn sees_rights(&self, target: &Target) -> bool {
        self.rank() >= 1 && self.reaches(target.user.license)
    }

    /// Whether the viewer can look up users by private fields.
    pub fn looks_up_private(&self) -> Result<(), &'static str> {
        self.opens("user")?;
        if self.rank() >= 1 { Ok(()) } else { Err(FORBIDDEN) }
    }

    /// Whether the viewer can grant the new rights: no viewer grants rights they lack, or a rank above theirs.
    fn gives(&self, old: &UserRights, new: &UserRights) -> &'static str {
        let unheld = RIGHTS.iter().any(|right| new.has(right) && !old.has(right) && !self.holds(right));
        let unheld_sites = new.full_site_access && !old.includes_every_site() && !self.holds_every_site();
        let crowned = new.is_superuser() != old.is_superuser() && self.rank() < 3;
        if unheld || unheld_sites || crowned || new.rank() > self.rank() { FORBIDDEN } else { DONE }
    }

    /// createUser; `lets_in` is whether the input has credentials or requests the invitation email.
    pub fn creates(&self, new: &UserRights, sets_credentials: bool) -> &'static str {
        match self.opens("createUser") {
            Err(error_code) => error_code,
            Ok(()) if sets_credentials && self.key.is_some() => FORBIDDEN,
            Ok(()) => self.gives(&UserRights { license: new.license, ..USER }, new),
        }
    }

    pub fn updates(&self, target: &Target, field: &str, change: Change) -> &'static str {
        if let Err(error_code) = self.opens("updateUser") {
            return error_code;
        }
        if !self.finds(target) {
            return NOT_FOUND;
        }
        let old = target.user;
        let is_own_attribute = ATTRIBUTES.iter().any(|(name, is_own, _)| *name == field && *is_own);
        let is_own_field = user_field(field).is_some_and(|field| field.is_self_editable);
        if target.is_self && (is_own_field || is_own_attribute) {
            return DONE;
        }
        // A key has no more rights on its own user than on others: none if its rank is lower.
        if self.rank() == 0 || old.rank() > self.rank() {
            return FORBIDDEN;
        }
        let new = change.of(&old);
        let of_rank = |user: &UserRights| (user.role, user.is_staff, user.has("isAdmin"), user.is_superuser());
        if target.is_self && (SIGN_IN.contains(&field) || (self.rank() == 1 && of_rank(&new) != of_rank(&old))) {
            return FORBIDDEN;
        }
        if SIGN_IN.contains(&field)
            && (self.key.is_some() || self.gives(&UserRights { license: old.license, ..USER }, &old) != DONE)
        {
            return FORBIDDEN;
        }
        self.gives(&old, &new)
    }

    /// setUserAvatar: only the rank of the target counts.
    pub fn sets_avatar(&self, target: &Target) -> &'static str {
        match self.opens("setUserAvatar") {
            Err(error_code) => error_code,
            Ok(()) if !self.finds(target) => NOT_FOUND,
            Ok(()) if target.is_self => DONE,
            Ok(()) if self.rank() == 0 || target.user.rank() > self.rank() => FORBIDDEN,
            Ok(()) => DONE,
        }
    }

    /// setActive, deleteUser, unlockUser.
    pub fn switches(&self, target: &Target, field: &str) -> &'static str {
        match self.opens(field) {
            Err(error_code) => error_code,
            Ok(()) if !self.finds(target) => NOT_FOUND,
            Ok(()) if target.is_self || target.user.rank() > self.rank() => FORBIDDEN,
            Ok(()) => DONE,
        }
    }

    /// Changing how a user signs in requires access to the sites of that user, besides every other right.
    pub fn credential_outcome(&self, outcome: &'static str, holds_sites: bool) -> &'static str {
        if outcome == DONE && !holds_sites && !self.holds_every_site() { FORBIDDEN } else { outcome }
    }

    /// resendActivation, of targets who have not activated their account; the viewer has.
    pub fn invites(&self, target: &Target) -> &'static str {
        match self.opens("resendActivation") {
            Err(error_code) => error_code,
            Ok(()) if !self.finds(target) => NOT_FOUND,
            Ok(()) if target.is_self => "NOT_ALLOWED",
            Ok(()) if self.gives(&UserRights { license: target.user.license, ..USER }, &target.user) != DONE => {
                FORBIDDEN
            }
            Ok(()) if !target.user.is_active => "INACTIVE",
            Ok(()) => DONE,
        }
    }

    pub fn ends_sessions(&self, target: &Target) -> &'static str {
        match self.opens("endSessions") {
            Err(error_code) => error_code,
            Ok(()) if !self.finds(target) => NOT_FOUND,
            Ok(()) if target.is_self => DONE,
            Ok(()) if self.rank() == 0 || target.user.rank() > self.rank() => FORBIDDEN,
            Ok(()) => DONE,
        }
    }

    pub fn exports(&self, target: &Target) -> &'static str {
        match self.opens("exportUser") {
            Err(error_code) => error_code,
            Ok(()) if !self.finds(target) => NOT_FOUND,
            Ok(()) if target.is_self => DONE,
            Ok(()) if self.rank() == 0 || target.user.rank() > self.rank() => FORBIDDEN,
            Ok(()) => DONE,
        }
    }

    /// forgetDevice, of a device of the target.
    pub fn forgets_device(&self, target: &Target) -> &'static str {
        match self.opens("forgetDevice") {
            Err(error_code) => error_code,
            Ok(()) if target.is_self => DONE,
            Ok(()) if self.rank() == 0 || !self.reaches(target.user.license) => NOT_FOUND,
            Ok(()) if target.user.rank() > self.rank() => FORBIDDEN,
            Ok(()) => DONE,
        }
    }

    /// removeGroupMember of oneself: every user can leave every group.
    pub fn leaves(&self, license: char) -> &'static str {
        match self.opens("removeGroupMember") {
            Err(error_code) => error_code,
            Ok(()) if self.user().license == license => DONE,
            Ok(()) => NOT_FOUND,
        }
    }

    pub fn changes_members(&self, joining: &Joining) -> &'static str {
        let Joining { license, own, from, to, user } = *joining;
        if let Err(error_code) = self.opens("setGroupMember") {
            return error_code;
        }
        let found = self.finds(&Target { user, is_self: false });
        if !self.reaches(license) || !found || user.license != license {
            return NOT_FOUND;
        }
        let of_owners = from == Some("OWNER") || to == Some("OWNER");
        let administers = self.rank() >= 1 || self.holds("isGroupAdmin");
        // Only administrators make users owners who do not belong to the group yet.
        let at_once = from.is_none() && to == Some("OWNER");
        let allowed = administers || (own == Some("OWNER") && !at_once) || (own == Some("MANAGER") && !of_owners);
        if allowed { DONE } else { FORBIDDEN }
    }

    /// updateGroup, deleteGroup; `own` is the role of the viewer in the group.
    pub fn changes_group(&self, field: &str, license: char, own: Option<&str>) -> &'static str {
        match self.opens(field) {
            Err(error_code) => error_code,
            Ok(()) if !self.reaches(license) => NOT_FOUND,
            Ok(()) if self.rank() >= 1 || self.holds("isGroupAdmin") || own == Some("OWNER") => DONE,
            Ok(()) => FORBIDDEN,
        }
    }

    /// updateInstitution, deleteInstitution; `is_granted` is whether the viewer was granted access to the site.
    pub fn changes_site(&self, field: &str, license: char, is_granted: bool) -> &'static str {
        match self.opens(field) {
            Err(error_code) => error_code,
            Ok(()) if !self.reaches(license) => NOT_FOUND,
            Ok(()) if self.holds_every_site() || is_granted => DONE,
            Ok(()) => FORBIDDEN,
        }
    }

    /// renameLicense.
    pub fn renames_license(&self, license: char) -> &'static str {
        match self.opens("renameLicense") {
            Err(error_code) => error_code,
            Ok(()) if self.reaches(license) => DONE,
            Ok(()) => NOT_FOUND,
        }
    }

    /// grantSiteAccess, revokeSiteAccess, of such a site.
    pub fn gives_site(&self, field: &str, target: &Target, license: char, is_granted: bool) -> &'static str {
        match self.changes_site(field, license, is_granted) {
            // A user of another license is not found, whether the viewer has access to the site or not.
            DONE | FORBIDDEN
                if self.opens(field).is_ok() && (!self.finds(target) || target.user.license != license) =>
            {
                NOT_FOUND
            }
            DONE if self.rank() == 1 && target.user.rank() > 1 => FORBIDDEN,
            outcome => outcome,
        }
    }

    /// importUsers, with a new owner of a group of this license: rows are about the viewer's own license, where every administrator
    /// administers the groups.
    pub fn imports_owner(&self, license: char) -> &'static str {
        match self.opens("importUsers") {
            Err(error_code) => error_code,
            Ok(()) if self.user().license == license => DONE,
            Ok(()) => NOT_FOUND,
        }
    }

    /// importUsers, with access of a target to such a site; `None` if the row is about nobody, or changes nothing.
    pub fn imports_site(&self, target: &Target, license: char, is_granted: bool) -> Option<&'static str> {
        match self.opens("importUsers") {
            Err(error_code) => Some(error_code),
            Ok(()) if target.user.license != self.user().license || (target.is_self && is_granted) => None,
            Ok(()) => Some(self.gives_site("grantSiteAccess", target, license, is_granted)),
        }
    }

    pub fn makes_key(&self, role: &str) -> &'static str {
        match self.opens("createApiKey") {
            Err(error_code) => error_code,
            Ok(()) if rank_of(role) > self.rank() => FORBIDDEN,
            Ok(()) => DONE,
        }
    }

    /// Whether a key is listed and can be revoked.
    pub fn sees_key(&self, license: char, is_own: bool) -> bool {
        match self.rank() {
            0 => false,
            1 => is_own,
            _ => self.reaches(license),
        }
    }
}
