//! Subjects: the rows whose changes the audit trail records.

use sea_orm::{EntityTrait, IdenStatic, ModelTrait};

use super::audit_event::SubjectType;
use super::{api_key, attribute_definition, group, institution, license, user};
use crate::scalar::Id;
use crate::text;

/// A row whose changes the audit trail records.
pub trait Subject: ModelTrait {
    /// The kind of the subject.
    const TYPE: SubjectType;

    /// Returns the ID of the row, and that of its license.
    fn ids(&self) -> (Id, Id);

    /// Returns the field under which a column is recorded. `None` for a column that is derived from others, or changes with each
    /// write.
    #[must_use]
    fn recorded_as(column: &<Self::Entity as EntityTrait>::Column) -> Option<String> {
        let name = column.as_str();
        let follows = name.ends_with("_key")
            || matches!(name, "id" | "license_id" | "created_at" | "date_joined" | "modified_at" | "version");
        (!follows).then(|| text::camel(name))
    }
}

impl Subject for user::Model {
    const TYPE: SubjectType = SubjectType::User;

    fn ids(&self) -> (Id, Id) {
        (self.id, self.license_id)
    }

    fn recorded_as(column: &user::Column) -> Option<String> {
        let follows = matches!(
            column,
            user::Column::Id | user::Column::DateJoined | user::Column::ModifiedAt | user::Column::Version
        );
        (!follows && column.privacy() != user::Privacy::Internal).then(|| column.field())
    }
}

impl Subject for group::Model {
    const TYPE: SubjectType = SubjectType::Group;

    fn ids(&self) -> (Id, Id) {
        (self.id, self.license_id)
    }
}

impl Subject for institution::Model {
    const TYPE: SubjectType = SubjectType::Institution;

    fn ids(&self) -> (Id, Id) {
        (self.id, self.license_id)
    }
}

impl Subject for license::Model {
    const TYPE: SubjectType = SubjectType::License;

    fn ids(&self) -> (Id, Id) {
        (self.id, self.id)
    }
}

impl Subject for api_key::Model {
    const TYPE: SubjectType = SubjectType::ApiKey;

    fn ids(&self) -> (Id, Id) {
        (self.id, self.license_id)
    }
}

impl Subject for attribute_definition::Model {
    const TYPE: SubjectType = SubjectType::Attribute;

    fn ids(&self) -> (Id, Id) {
        (self.id, self.license_id)
    }
}
