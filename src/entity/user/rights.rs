//! Administrator rights beyond the role, each a column of the user.

use async_graphql::{InputObject, MaybeUndefined, SimpleObject};
use sea_orm::FromQueryResult;
use serde::Deserialize;

use super::Model;
use crate::validation::Validator;

/// The administrative rights of a user, beyond their role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject, FromQueryResult)]
pub struct AdminRights {
    /// Whether the user may do everything, in every license.
    pub is_superuser: bool,
    /// Whether the user has the rank of an administrator.
    pub is_admin: bool,
    /// Whether the user administers projects.
    pub is_project_admin: bool,
    /// Whether the user administers the groups of the license.
    pub is_group_admin: bool,
    /// Whether the user administers taxonomies.
    pub is_taxonomies_admin: bool,
    /// Whether the user administers resources.
    pub is_resources_admin: bool,
    /// Whether the user may define custom attributes.
    pub is_attributes_admin: bool,
    /// Whether the user receives the messages that visitors write in the contact form.
    pub is_contact_form_email_receiver: bool,
}

impl AdminRights {
    /// No rights.
    pub const NONE: Self = Self {
        is_superuser: false,
        is_admin: false,
        is_project_admin: false,
        is_group_admin: false,
        is_taxonomies_admin: false,
        is_resources_admin: false,
        is_attributes_admin: false,
        is_contact_form_email_receiver: false,
    };

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

/// The administrative rights to change. A right that is left out stays unchanged.
#[derive(Clone, Debug, Default, InputObject, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AdminRightsInput {
    /// Whether the user may do everything, in every license. Set by superusers only.
    pub is_superuser: MaybeUndefined<bool>,
    /// Whether the user has the rank of an administrator.
    pub is_admin: MaybeUndefined<bool>,
    /// Whether the user administers projects.
    pub is_project_admin: MaybeUndefined<bool>,
    /// Whether the user administers the groups of the license.
    pub is_group_admin: MaybeUndefined<bool>,
    /// Whether the user administers taxonomies.
    pub is_taxonomies_admin: MaybeUndefined<bool>,
    /// Whether the user administers resources.
    pub is_resources_admin: MaybeUndefined<bool>,
    /// Whether the user may define custom attributes.
    pub is_attributes_admin: MaybeUndefined<bool>,
    /// Whether the user receives the messages that visitors write in the contact form.
    pub is_contact_form_email_receiver: MaybeUndefined<bool>,
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

    pub(super) fn lay_rights_over(&mut self, given: MaybeUndefined<AdminRightsInput>, form: &mut Validator) {
        let mut rights = AdminRightsInput::default();
        form.value("adminRights", given, &mut rights);
        form.value("adminRights.isSuperuser", rights.is_superuser, &mut self.is_superuser);
        form.value("adminRights.isAdmin", rights.is_admin, &mut self.is_admin);
        form.value("adminRights.isProjectAdmin", rights.is_project_admin, &mut self.is_project_admin);
        form.value("adminRights.isGroupAdmin", rights.is_group_admin, &mut self.is_group_admin);
        form.value("adminRights.isTaxonomiesAdmin", rights.is_taxonomies_admin, &mut self.is_taxonomies_admin);
        form.value("adminRights.isResourcesAdmin", rights.is_resources_admin, &mut self.is_resources_admin);
        form.value("adminRights.isAttributesAdmin", rights.is_attributes_admin, &mut self.is_attributes_admin);
        let receiver = &mut self.is_contact_form_email_receiver;
        form.value("adminRights.isContactFormEmailReceiver", rights.is_contact_form_email_receiver, receiver);
    }
}
