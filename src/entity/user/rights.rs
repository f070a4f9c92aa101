//! Administrator rights beyond the role, each a column of the user.

use async_graphql::{InputObject, MaybeUndefined, SimpleObject};
use sea_orm::FromQueryResult;
use serde::Deserialize;

use super::{Column, Model};
use crate::validation::Validator;

/// The columns of [`AdminRights`].
pub const RIGHTS: [Column; 8] = [
    Column::IsSuperuser,
    Column::IsAdmin,
    Column::IsProjectAdmin,
    Column::IsGroupAdmin,
    Column::IsTaxonomiesAdmin,
    Column::IsResourcesAdmin,
    Column::IsAttributesAdmin,
    Column::IsContactFormEmailReceiver,
];

/// The columns that determine a user's rank.
pub const RANK_COLUMNS: [Column; 4] = [Column::Role, Column::IsStaff, Column::IsSuperuser, Column::IsAdmin];

/// The administrator rights of a user, in addition to their role. Those for projects, resources, taxonomies and the contact
/// form have no effect in Roster; they are for other systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, SimpleObject, FromQueryResult)]
pub struct AdminRights {
    /// Whether the user may do everything, in every license.
    pub is_superuser: bool,
    /// Whether this right gives the user the rank of an administrator. `role` and `isStaff` can also give it.
    pub is_admin: bool,
    /// Whether the user administers projects.
    pub is_project_admin: bool,
    /// Whether the user may manage every group of the license. Administrators always may.
    pub is_group_admin: bool,
    /// Whether the user administers taxonomies.
    pub is_taxonomies_admin: bool,
    /// Whether the user administers resources.
    pub is_resources_admin: bool,
    /// Whether the user may define custom attributes, provided that they are an administrator. License administrators
    /// and superusers always may.
    pub is_attributes_admin: bool,
    /// Whether the user receives the messages that visitors send through the contact form.
    pub is_contact_form_email_receiver: bool,
}

impl AdminRights {
    /// Returns each right with the name of its field.
    #[must_use]
    pub const fn named(self) -> [(&'static str, bool); 8] {
        [
            ("adminRights.isSuperuser", self.is_superuser),
            ("adminRights.isAdmin", self.is_admin),
            ("adminRights.isProjectAdmin", self.is_project_admin),
            ("adminRights.isGroupAdmin", self.is_group_admin),
            ("adminRights.isTaxonomiesAdmin", self.is_taxonomies_admin),
            ("adminRights.isResourcesAdmin", self.is_resources_admin),
            ("adminRights.isAttributesAdmin", self.is_attributes_admin),
            ("adminRights.isContactFormEmailReceiver", self.is_contact_form_email_receiver),
        ]
    }
}

/// Administrator rights to grant (`true`) or revoke (`false`). Omitted rights stay unchanged; a new user does not
/// get them. Null is an error (`NULL_NOT_ALLOWED`), except in `importUsers`, where it counts as omitted.
#[derive(Clone, Debug, Default, InputObject, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AdminRightsInput {
    /// Whether the user may do everything, in every license. Only superusers can grant or revoke it.
    pub is_superuser: MaybeUndefined<bool>,
    /// Whether this right gives the user the rank of an administrator. `role` and `isStaff` can also give it.
    pub is_admin: MaybeUndefined<bool>,
    /// Whether the user administers projects.
    pub is_project_admin: MaybeUndefined<bool>,
    /// Whether the user may manage every group of the license. Administrators always may.
    pub is_group_admin: MaybeUndefined<bool>,
    /// Whether the user administers taxonomies.
    pub is_taxonomies_admin: MaybeUndefined<bool>,
    /// Whether the user administers resources.
    pub is_resources_admin: MaybeUndefined<bool>,
    /// Whether the user may define custom attributes, provided that they are an administrator. License administrators
    /// and superusers always may.
    pub is_attributes_admin: MaybeUndefined<bool>,
    /// Whether the user receives the messages that visitors send through the contact form.
    pub is_contact_form_email_receiver: MaybeUndefined<bool>,
}

/// A filter for users by their administrator rights, in addition to their role. A user must match every right that is
/// set. Null is an error.
#[derive(Clone, Copy, Debug, Default, InputObject)]
pub struct AdminRightsFilter {
    /// Whether the user may do everything, in every license.
    pub is_superuser: MaybeUndefined<bool>,
    /// Whether this right gives the user the rank of an administrator. `role` and `isStaff` can also give it.
    pub is_admin: MaybeUndefined<bool>,
    /// Whether the user administers projects.
    pub is_project_admin: MaybeUndefined<bool>,
    /// Whether the user has the right to manage every group of the license. Administrators need no right for that.
    pub is_group_admin: MaybeUndefined<bool>,
    /// Whether the user administers taxonomies.
    pub is_taxonomies_admin: MaybeUndefined<bool>,
    /// Whether the user administers resources.
    pub is_resources_admin: MaybeUndefined<bool>,
    /// Whether the user has the right to define custom attributes. License administrators and superusers need no right
    /// for that.
    pub is_attributes_admin: MaybeUndefined<bool>,
    /// Whether the user receives the messages that visitors send through the contact form.
    pub is_contact_form_email_receiver: MaybeUndefined<bool>,
}

impl AdminRightsFilter {
    /// Returns each right with its column.
    #[must_use]
    pub const fn columns(self) -> [(Column, MaybeUndefined<bool>); 8] {
        [
            (Column::IsSuperuser, self.is_superuser),
            (Column::IsAdmin, self.is_admin),
            (Column::IsProjectAdmin, self.is_project_admin),
            (Column::IsGroupAdmin, self.is_group_admin),
            (Column::IsTaxonomiesAdmin, self.is_taxonomies_admin),
            (Column::IsResourcesAdmin, self.is_resources_admin),
            (Column::IsAttributesAdmin, self.is_attributes_admin),
            (Column::IsContactFormEmailReceiver, self.is_contact_form_email_receiver),
        ]
    }
}

impl Model {
    /// Returns the rights beyond the role.
    #[must_use]
    pub fn rights(&self) -> AdminRights {
        AdminRights {
            is_superuser: self.is_superuser,
            is_admin: self.is_admin,
            is_project_admin: self.is_project_admin,
            is_group_admin: self.is_group_admin,
            is_taxonomies_admin: self.is_taxonomies_admin,
            is_resources_admin: self.is_resources_admin,
            is_attributes_admin: self.is_attributes_admin,
            is_contact_form_email_receiver: self.is_contact_form_email_receiver,
        }
    }

    pub(super) fn apply_rights(&mut self, given: MaybeUndefined<AdminRightsInput>, validator: &mut Validator) {
        let mut rights = AdminRightsInput::default();
        validator.value("adminRights", given, &mut rights);
        validator.value("adminRights.isSuperuser", rights.is_superuser, &mut self.is_superuser);
        validator.value("adminRights.isAdmin", rights.is_admin, &mut self.is_admin);
        validator.value("adminRights.isProjectAdmin", rights.is_project_admin, &mut self.is_project_admin);
        validator.value("adminRights.isGroupAdmin", rights.is_group_admin, &mut self.is_group_admin);
        validator.value("adminRights.isTaxonomiesAdmin", rights.is_taxonomies_admin, &mut self.is_taxonomies_admin);
        validator.value("adminRights.isResourcesAdmin", rights.is_resources_admin, &mut self.is_resources_admin);
        validator.value("adminRights.isAttributesAdmin", rights.is_attributes_admin, &mut self.is_attributes_admin);
        let receiver = &mut self.is_contact_form_email_receiver;
        validator.value("adminRights.isContactFormEmailReceiver", rights.is_contact_form_email_receiver, receiver);
    }
}
