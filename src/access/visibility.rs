//! What a viewer sees, as conditions of SQL. Every list, link and lookup is narrowed by one of these.

use sea_orm::ColumnTrait;
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Query, SimpleExpr};

use super::{Action, Scope, Viewer};
use crate::entity::user::Role;
use crate::entity::{api_key, attribute_definition, attribute_value, audit_event, group, institution, license, user};
use crate::scalar::{Date, Id};

impl Viewer {
    /// The people that the viewer sees in lists; inactive ones only where they are asked for.
    #[must_use]
    pub fn listed_users(&self, include_inactive: bool) -> Condition {
        let license = self.in_license(user::Column::LicenseId);
        if include_inactive { license } else { license.add(user::Column::IsActive.eq(true)) }
    }

    /// The people that the viewer can look up one by one: administrators find inactive ones too, and everybody himself.
    #[must_use]
    pub fn visible_users(&self) -> Condition {
        self.listed_users(self.may(Action::ListInactive).is_ok())
    }

    /// The same of a person whose row is at hand.
    #[must_use]
    pub fn can_see_user(&self, person: &user::Model) -> bool {
        let Ok(viewer) = self.signed_in() else { return false };
        let is_within = match self.scope(Action::ReadDirectory) {
            Scope::All => true,
            Scope::License | Scope::Rank => person.license_id == viewer.license_id,
            Scope::Own => person.id == viewer.user_id,
            Scope::Nothing => false,
        };
        is_within && (person.is_active || self.may(Action::ListInactive).is_ok())
    }

    /// The groups that the viewer sees.
    #[must_use]
    pub fn visible_groups(&self) -> Condition {
        self.in_license(group::Column::LicenseId)
    }

    /// The institutions that the viewer sees.
    #[must_use]
    pub fn visible_institutions(&self) -> Condition {
        self.in_license(institution::Column::LicenseId)
    }

    /// The licenses that the viewer sees.
    #[must_use]
    pub fn visible_licenses(&self) -> Condition {
        self.in_license(license::Column::Id)
    }

    /// The definitions of custom attributes that the viewer sees.
    #[must_use]
    pub fn visible_attribute_definitions(&self) -> Condition {
        self.in_license(attribute_definition::Column::LicenseId)
    }

    /// The people whose sessions the viewer sees.
    #[must_use]
    pub fn visible_sessions(&self) -> Condition {
        self.within(Action::SeeSessions, user::Column::LicenseId, user::Column::Id)
    }

    /// The people whose invitations the viewer sees.
    #[must_use]
    pub fn visible_invitations(&self) -> Condition {
        self.within(Action::SeeInvitations, user::Column::LicenseId, user::Column::Id)
    }

    /// What the viewer sees of the custom attributes of people: what is visible to everybody, and all of those of whom he
    /// sees what is private. Values must be joined with their definitions.
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

    /// The API keys that the viewer sees and may revoke.
    #[must_use]
    pub fn visible_api_keys(&self) -> Condition {
        self.within(Action::UseApiKeys, api_key::Column::LicenseId, api_key::Column::UserId)
    }

    /// The audit events that the viewer sees.
    #[must_use]
    pub fn visible_audit_events(&self) -> Condition {
        self.within(Action::ReadAudit, audit_event::Column::LicenseId, audit_event::Column::SubjectId)
    }

    /// The license administrators of a license, and the viewer as an administrator of it.
    #[must_use]
    pub fn administers_license(&self, license_id: Id) -> Condition {
        let mut any = Condition::any().add(user::Column::Role.eq(Role::LicenseAdmin));
        if let Ok(viewer) = self.signed_in() {
            any = any.add(Condition::all().add(user::Column::Id.eq(viewer.user_id)).add(administrators()));
        }
        Condition::all().add(user::Column::LicenseId.eq(license_id)).add(any)
    }

    /// What a list shown to the viewer depends on: a cursor of another viewer's license is of another list.
    #[must_use]
    pub fn visibility_scope(&self) -> String {
        self.visibility_scope_of(Action::ReadDirectory)
    }

    /// The same of the audit trail, of which some see only what is about themselves.
    #[must_use]
    pub fn audit_visibility_scope(&self) -> String {
        self.visibility_scope_of(Action::ReadAudit)
    }

    /// The license whose people the viewer lists; none where they are of all licenses.
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
        // Who may read the directory reads all of his license, so that the second column is never asked for.
        self.within(Action::ReadDirectory, license, license)
    }

    /// The rows that an action reaches, by the columns that tell their license and whose they are.
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

/// What belongs to a license, by the column that tells it: people refer only to what is of their own.
#[must_use]
pub fn of_license(column: impl ColumnTrait, license_id: Id) -> SimpleExpr {
    column.eq(license_id)
}

/// The people who count: active, in a license that has not expired. Both tables must be joined.
#[must_use]
pub fn active_in_valid_license() -> Condition {
    Condition::all().add(user::Column::IsActive.eq(true)).add(in_force())
}

/// The licenses that have begun and not expired. The table must be joined.
#[must_use]
pub fn in_force() -> Condition {
    let today = Date::today();
    let not_over =
        Condition::any().add(license::Column::ExpiresOn.is_null()).add(license::Column::ExpiresOn.gte(today));
    Condition::all().add(license::Column::StartsOn.lte(today)).add(not_over)
}

/// The people with the rank of an administrator or a higher one.
#[must_use]
pub fn administrators() -> Condition {
    Condition::any()
        .add(user::Column::Role.ne(Role::User))
        .add(user::Column::IsStaff.eq(true))
        .add(user::Column::IsAdmin.eq(true))
        .add(user::Column::IsSuperuser.eq(true))
}

/// The people of whom one must stay: active superusers in a license that has not expired.
#[must_use]
pub fn active_superusers() -> Condition {
    let mut valid = Query::select();
    valid.column(license::Column::Id).from(license::Entity).cond_where(in_force());
    Condition::all()
        .add(user::Column::IsSuperuser.eq(true))
        .add(user::Column::IsActive.eq(true))
        .add(user::Column::LicenseId.in_subquery(valid))
}

/// The active people of whom one must stay: license administrators of a license.
#[must_use]
pub fn active_license_admins(license_id: Id) -> Condition {
    Condition::all()
        .add(user::Column::Role.eq(Role::LicenseAdmin))
        .add(user::Column::LicenseId.eq(license_id))
        .add(user::Column::IsActive.eq(true))
}

/// The condition that no row meets.
fn nothing() -> SimpleExpr {
    Expr::val(1).eq(0)
}
