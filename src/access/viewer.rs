//! The viewer of a request, and their rank.

use std::sync::OnceLock;

use sea_orm::{FromQueryResult, Value};

use crate::entity::user::{self, AdminRights, Role};
use crate::error::Error;
use crate::scalar::Id;

/// The rank of a user: how far their rights reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    User,
    Admin,
    LicenseAdmin,
    Superuser,
}

impl Rank {
    /// Returns the rank that a role alone gives.
    #[must_use]
    pub fn of_role(role: Role) -> Self {
        match role {
            Role::LicenseAdmin => Self::LicenseAdmin,
            Role::Admin => Self::Admin,
            Role::User => Self::User,
        }
    }

    /// Returns the rank that a role and rights give: `isAdmin` and `isStaff` give the rank of an administrator, `isSuperuser`
    /// that of a superuser.
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

/// The viewer of a request, read from the database for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Viewer {
    Anonymous,
    SignedIn(SignedIn),
}

/// The way in which a viewer is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// The session with this ID.
    Session(Id),
    /// The API key with this ID and role: a program that acts for the user who created the key.
    ApiKey(Id, Role),
}

/// The columns of a user that determine their rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub struct ViewerRow {
    pub user_id: Id,
    pub license_id: Id,
    pub role: Role,
    pub is_staff: bool,
    pub full_site_access: bool,
    #[sea_orm(nested)]
    pub rights: AdminRights,
}

impl ViewerRow {
    /// The columns of a row, besides the ID.
    pub const COLUMNS: [user::Column; 12] = [
        user::Column::LicenseId,
        user::Column::Role,
        user::Column::IsStaff,
        user::Column::FullSiteAccess,
        user::Column::IsSuperuser,
        user::Column::IsAdmin,
        user::Column::IsProjectAdmin,
        user::Column::IsGroupAdmin,
        user::Column::IsTaxonomiesAdmin,
        user::Column::IsResourcesAdmin,
        user::Column::IsAttributesAdmin,
        user::Column::IsContactFormEmailReceiver,
    ];

    /// Returns the values of [`COLUMNS`](Self::COLUMNS).
    #[must_use]
    pub fn values(&self) -> [Value; 12] {
        let AdminRights {
            is_superuser,
            is_admin,
            is_project_admin,
            is_group_admin,
            is_taxonomies_admin,
            is_resources_admin,
            is_attributes_admin,
            is_contact_form_email_receiver,
        } = self.rights;
        [
            self.license_id.into(),
            self.role.into(),
            self.is_staff.into(),
            self.full_site_access.into(),
            is_superuser.into(),
            is_admin.into(),
            is_project_admin.into(),
            is_group_admin.into(),
            is_taxonomies_admin.into(),
            is_resources_admin.into(),
            is_attributes_admin.into(),
            is_contact_form_email_receiver.into(),
        ]
    }
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

/// A viewer with a valid session or API key. Two that are equal have the same rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    pub user_id: Id,
    pub auth_method: AuthMethod,
    pub license_id: Id,
    pub rank: Rank,
    pub rights: AdminRights,
    pub full_site_access: bool,
    /// The row that the viewer's rights were read from.
    pub row: ViewerRow,
    /// The set of trusted documents to which the API key is bound.
    pub document_set: Option<String>,
    /// The ID of the request, for the audit trail; `None` for the command line.
    pub request_id: Option<String>,
}

impl SignedIn {
    /// Creates the viewer for a user with a session, or for a program with an API key of a role that the user created. The
    /// program has no rights besides the key's role, and no higher rank than the user has now. The key is bound to no set of
    /// documents.
    #[must_use]
    pub fn new(user: &ViewerRow, auth_method: AuthMethod, request_id: Option<String>) -> Self {
        let rank = Rank::of(user.role, user.is_staff, user.rights);
        let (rank, rights) = match auth_method {
            AuthMethod::Session(_) => (rank, user.rights),
            AuthMethod::ApiKey(_, role) => (Rank::of_role(role).min(rank), AdminRights::default()),
        };
        let row = *user;
        let ViewerRow { user_id, license_id, full_site_access, .. } = row;
        let document_set = None;
        Self { user_id, auth_method, license_id, rank, rights, full_site_access, row, document_set, request_id }
    }

    /// Returns the session of the request; `None` if it uses an API key.
    #[must_use]
    pub fn session_id(&self) -> Option<Id> {
        match self.auth_method {
            AuthMethod::Session(id) => Some(id),
            AuthMethod::ApiKey(..) => None,
        }
    }
}

impl Viewer {
    /// Returns the signed-in viewer.
    ///
    /// # Errors
    /// `Unauthenticated` if the viewer is anonymous.
    pub fn signed_in(&self) -> Result<&SignedIn, Error> {
        match self {
            Self::Anonymous => Err(Error::Unauthenticated),
            Self::SignedIn(viewer) => Ok(viewer),
        }
    }
}

/// The current viewer of a request. If the request signs a user in, the rest of its response is resolved with that user's
/// rights.
#[derive(Debug)]
pub struct CurrentViewer {
    initial: Viewer,
    signed_in: OnceLock<Viewer>,
}

impl CurrentViewer {
    /// Starts with the viewer that the token identifies.
    #[must_use]
    pub fn new(viewer: Viewer) -> Self {
        Self { initial: viewer, signed_in: OnceLock::new() }
    }

    /// Returns the current viewer.
    #[must_use]
    pub fn viewer(&self) -> &Viewer {
        self.signed_in.get().unwrap_or(&self.initial)
    }

    /// Records that the request signed a user in. Only the first sign-in of a request counts.
    pub fn sign_in(&self, viewer: SignedIn) {
        let _ = self.signed_in.set(Viewer::SignedIn(viewer));
    }
}
