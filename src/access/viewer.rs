//! Who is asking.

use std::sync::OnceLock;

use sea_orm::FromQueryResult;

use crate::entity::user::{self, AdminRights, Role};
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
    /// The rank that a role gives by itself.
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        match role {
            Role::LicenseAdmin => Self::LicenseAdmin,
            Role::Admin => Self::Admin,
            Role::User => Self::User,
        }
    }

    /// The rank that a role and rights give: `isAdmin` and `isStaff` give that of an administrator.
    #[must_use]
    pub fn of(role: Role, is_staff: bool, rights: AdminRights) -> Self {
        match Self::of_role(role) {
            _ if rights.is_superuser => Self::Superuser,
            Self::User if is_staff || rights.is_admin => Self::Admin,
            rank => rank,
        }
    }

    pub(super) fn of_user(user: &user::Model) -> Self {
        Self::of(user.role, user.is_staff, user.rights())
    }
}

/// Who is asking, as read from the database for this one request.
#[derive(Clone, Debug)]
pub enum Viewer {
    Anonymous,
    SignedIn(SignedIn),
}

/// By what a viewer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// The session of this id.
    Session(Id),
    /// The API key of this id and role: a program that acts for the person who made it.
    ApiKey(Id, Role),
}

/// What of a person tells how far he reaches.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct ViewerRow {
    pub user_id: Id,
    pub license_id: Id,
    pub role: Role,
    pub is_staff: bool,
    pub full_site_access: bool,
    #[sea_orm(nested)]
    pub rights: AdminRights,
}

impl From<&user::Model> for ViewerRow {
    fn from(user: &user::Model) -> Self {
        Self {
            user_id: user.id,
            license_id: user.license_id,
            role: user.role,
            is_staff: user.is_staff,
            full_site_access: user.full_site_access,
            rights: user.rights(),
        }
    }
}

/// Somebody with a session or an API key that counts.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub user_id: Id,
    pub means: AuthMethod,
    pub license_id: Id,
    pub rank: Rank,
    pub rights: AdminRights,
    pub full_site_access: bool,
    /// The request, for the audit trail; none where it comes from the command line.
    pub request_id: Option<String>,
}

impl SignedIn {
    /// A person with a session, or a program with an API key of a role that the person made. The program has no rights
    /// beside the key's role, and no higher rank than the person has today.
    #[must_use]
    pub fn new(person: &ViewerRow, means: AuthMethod, request_id: Option<String>) -> Self {
        let rank = Rank::of(person.role, person.is_staff, person.rights);
        let (rank, rights) = match means {
            AuthMethod::Session(_) => (rank, person.rights),
            AuthMethod::ApiKey(_, role) => (Rank::of_role(role).min(rank), AdminRights::NONE),
        };
        let ViewerRow { user_id, license_id, full_site_access, .. } = *person;
        Self { user_id, means, license_id, rank, rights, full_site_access, request_id }
    }

    /// The session that asks; none where an API key does.
    #[must_use]
    pub fn session_id(&self) -> Option<Id> {
        match self.means {
            AuthMethod::Session(id) => Some(id),
            AuthMethod::ApiKey(..) => None,
        }
    }
}

impl Viewer {
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
}

/// Who is asking in the course of one request: whoever signs in by it sees the rest of its answer with his own eyes.
#[derive(Debug)]
pub struct CurrentViewer {
    at_first: Viewer,
    since: OnceLock<Viewer>,
}

impl CurrentViewer {
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
