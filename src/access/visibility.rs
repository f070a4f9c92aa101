//! Visibility: the rows that a viewer can see, as SQL conditions. Every list, loader and lookup is restricted by one of these.

use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query, SimpleExpr};

use super::{Action, Scope, Viewer};
use crate::entity::user::Role;
use crate::entity::{
    api_key, attribute_definition, attribute_value, audit_event, group, institution, license, list_total, user,
};
use crate::scalar::{Date, Id};

impl Viewer {
    /// Returns the condition for the users that the viewer can see in lists; inactive users only if requested.
    #[must_use]
    pub fn listed_users(&self, include_inactive: bool) -> Condition {
        let license = self.in_license(user::Column::LicenseId);
        if include_inactive { license } else { license.add(user::Column::IsActive.eq(true)) }
    }

    /// Returns the condition for the users that the viewer can look up one by one: administrators find inactive users too, and
    /// every viewer finds themselves.
    #[must_use]
    pub fn visible_users(&self) -> Condition {
        self.listed_users(self.can_see_inactive_users())
    }

    /// Returns whether the viewer can look up a user whose row is already loaded; the same rule as [`Viewer::visible_users`].
    #[must_use]
    pub fn can_see_user(&self, user: &user::Model) -> bool {
        let Ok(viewer) = self.signed_in() else { return false };
        let is_within = match self.scope(Action::ReadDirectory) {
            Scope::All => true,
            Scope::License | Scope::Rank => user.license_id == viewer.license_id,
            Scope::Own => user.id == viewer.user_id,
            Scope::Nothing => false,
        };
        is_within && (user.is_active || self.can_see_inactive_users())
    }

    /// Returns whether the viewer can look up inactive users, of those whom the viewer can see otherwise.
    #[must_use]
    pub fn can_see_inactive_users(&self) -> bool {
        self.may(Action::ListInactive).is_ok()
    }

    /// Returns the condition for the groups that the viewer can see.
    #[must_use]
    pub fn visible_groups(&self) -> Condition {
        self.in_license(group::Column::LicenseId)
    }

    /// Returns the condition for the institutions that the viewer can see.
    #[must_use]
    pub fn visible_institutions(&self) -> Condition {
        self.in_license(institution::Column::LicenseId)
    }

    /// Returns the condition for the licenses that the viewer can see.
    #[must_use]
    pub fn visible_licenses(&self) -> Condition {
        self.in_license(license::Column::Id)
    }

    /// Returns the condition for the definitions of custom attributes that the viewer can see.
    #[must_use]
    pub fn visible_attribute_definitions(&self) -> Condition {
        self.in_license(attribute_definition::Column::LicenseId)
    }

    /// Returns the condition for the users whose sessions the viewer can see.
    #[must_use]
    pub fn visible_sessions(&self) -> Condition {
        self.within(Action::SeeSessions, user::Column::LicenseId, user::Column::Id)
    }

    /// Returns the condition for the users whose invitations the viewer can see.
    #[must_use]
    pub fn visible_invitations(&self) -> Condition {
        self.within(Action::SeeInvitations, user::Column::LicenseId, user::Column::Id)
    }

    /// Returns the condition for the values of custom attributes that the viewer can see: those visible to all users, and all
    /// values of users whose private fields the viewer can see. Values must be joined with their definitions.
    #[must_use]
    pub fn visible_attributes(&self) -> Condition {
        let visible = self.in_license(attribute_definition::Column::LicenseId);
        let license = attribute_definition::Column::LicenseId;
        Condition::any().add(visible.add(attribute_definition::Column::UserVisible.eq(true))).add(self.within(
            Action::SeePrivate,
            license,
            attribute_value::Column::UserId,
        ))
    }

    /// Returns the condition for the API keys that the viewer can see and revoke.
    #[must_use]
    pub fn visible_api_keys(&self) -> Condition {
        self.within(Action::UseApiKeys, api_key::Column::LicenseId, api_key::Column::UserId)
    }

    /// Returns the condition for the audit events that the viewer can see.
    #[must_use]
    pub fn visible_audit_events(&self) -> Condition {
        self.within(Action::ReadAudit, audit_event::Column::LicenseId, audit_event::Column::SubjectId)
    }

    /// Returns the condition for the numbers of users, groups and institutions that the viewer can see in lists.
    #[must_use]
    pub fn visible_totals(&self) -> Condition {
        self.in_license(list_total::Column::LicenseId)
    }

    /// Returns the condition for the numbers of audit events that the viewer can see; `None` if the viewer sees only the events
    /// about themselves, which are not counted apart.
    #[must_use]
    pub fn visible_audit_totals(&self) -> Option<Condition> {
        let license = list_total::Column::LicenseId;
        let sees_all = self.scope(Action::ReadAudit) != Scope::Own;
        sees_all.then(|| self.within(Action::ReadAudit, license, license))
    }

    /// Returns the condition for the audit events whose changes the viewer can follow: those of the licenses that the viewer can
    /// see. Whether the viewer can see the changed object and fields is decided for each event.
    #[must_use]
    pub fn visible_changes(&self) -> Condition {
        self.in_license(audit_event::Column::LicenseId)
    }

    /// Returns the condition for the definitions of custom attributes whose values every user of the license can see.
    #[must_use]
    pub fn open_attribute_definitions(&self) -> Condition {
        self.visible_attribute_definitions().add(attribute_definition::Column::UserVisible.eq(true))
    }

    /// Returns the condition for the license administrators of a license, and for the viewer if the viewer is an administrator
    /// of that license.
    #[must_use]
    pub fn administers_license(&self, license_id: Id) -> Condition {
        let mut any = Condition::any().add(user::Column::Role.eq(Role::LicenseAdmin));
        if let Ok(viewer) = self.signed_in() {
            any = any.add(Condition::all().add(user::Column::Id.eq(viewer.user_id)).add(administrators()));
        }
        Condition::all().add(user::Column::LicenseId.eq(license_id)).add(any)
    }

    /// Returns the scope that a list shown to the viewer depends on. A cursor is bound to it: a cursor of another viewer's
    /// license belongs to a different list.
    #[must_use]
    pub fn visibility_scope(&self) -> String {
        self.visibility_scope_of(Action::ReadDirectory)
    }

    /// Returns the scope that audit events shown to the viewer depend on; some viewers see only the events about themselves.
    #[must_use]
    pub fn audit_visibility_scope(&self) -> String {
        self.visibility_scope_of(Action::ReadAudit)
    }

    /// Returns the license whose users the viewer lists; `None` if the viewer lists the users of all licenses, or is anonymous.
    #[must_use]
    pub fn license_of_lists(&self) -> Option<Id> {
        let viewer = self.signed_in().ok()?;
        (self.scope(Action::ReadDirectory) != Scope::All).then_some(viewer.license_id)
    }

    fn visibility_scope_of(&self, action: Action) -> String {
        match (self.scope(action), self) {
            (Scope::All, _) => "everything".to_owned(),
            (Scope::Own, Self::SignedIn(viewer)) => format!("{} {}", viewer.license_id.0, viewer.user_id.0),
            (_, Self::SignedIn(viewer)) => viewer.license_id.0.to_string(),
            (_, Self::Anonymous) => "nothing".to_owned(),
        }
    }

    fn in_license(&self, license: impl ColumnTrait) -> Condition {
        // A viewer who may read the directory may read their whole license, so the second column is never used.
        self.within(Action::ReadDirectory, license, license)
    }

    /// Returns the condition for the rows within the scope of an action, by the columns with their license and their owner.
    fn within(&self, action: Action, license: impl ColumnTrait, owner: impl ColumnTrait) -> Condition {
        let condition = Condition::all();
        match (self.scope(action), self.signed_in()) {
            (Scope::All, Ok(_)) => condition,
            (Scope::License | Scope::Rank, Ok(viewer)) => condition.add(license.eq(viewer.license_id)),
            (Scope::Own, Ok(viewer)) => condition.add(license.eq(viewer.license_id)).add(owner.eq(viewer.user_id)),
            (Scope::Nothing, _) | (_, Err(_)) => condition.add(nothing()),
        }
    }
}

/// Returns the condition that a row belongs to a license, by its license column. Users refer only to rows of their own license.
#[must_use]
pub fn of_license(column: impl ColumnTrait, license_id: Id) -> SimpleExpr {
    column.eq(license_id)
}

/// Returns the condition for active users in a license that has begun and not expired. Both tables must be joined.
#[must_use]
pub fn active_in_valid_license() -> Condition {
    active_in_valid_license_as("users")
}

/// Returns the same condition for users who are read under another name than that of their table.
#[must_use]
pub fn active_in_valid_license_as(users: &'static str) -> Condition {
    Condition::all().add(Expr::col((users, user::Column::IsActive)).eq(true)).add(in_force())
}

/// Returns the condition for licenses that have begun and not expired. The table must be joined.
#[must_use]
pub fn in_force() -> Condition {
    let today = Date::today();
    let not_over =
        Condition::any().add(license::Column::ExpiresOn.is_null()).add(license::Column::ExpiresOn.gte(today));
    Condition::all().add(license::Column::StartsOn.lte(today)).add(not_over)
}

/// Returns the condition for users with the rank of an administrator or a higher one.
#[must_use]
pub fn administrators() -> Condition {
    Condition::any()
        .add(user::Column::Role.ne(Role::User))
        .add(user::Column::IsStaff.eq(true))
        .add(user::Column::IsAdmin.eq(true))
        .add(user::Column::IsSuperuser.eq(true))
}

/// Returns the condition for active superusers in a license that has begun and not expired. At least one must remain.
#[must_use]
pub fn active_superusers() -> Condition {
    let mut valid = Query::select();
    valid.column(license::Column::Id).from(license::Entity).cond_where(in_force());
    Condition::all()
        .add(user::Column::IsSuperuser.eq(true))
        .add(user::Column::IsActive.eq(true))
        .add(user::Column::LicenseId.in_subquery(valid))
}

/// Returns the condition for the active license administrators of a license. At least one must remain.
#[must_use]
pub fn active_license_admins(license_id: Id) -> Condition {
    Condition::all()
        .add(user::Column::Role.eq(Role::LicenseAdmin))
        .add(user::Column::LicenseId.eq(license_id))
        .add(user::Column::IsActive.eq(true))
}

/// Returns a condition that no row meets.
fn nothing() -> SimpleExpr {
    Expr::val(1).eq(0)
}
