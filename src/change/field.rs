//! The names of changed fields: those of the API, for the fields that the audit trail records.

use super::NodeType;
use crate::access::ATTRIBUTES;
use crate::entity::user;

/// Returns the field of the API that a recorded field belongs to; `None` if the API has no such field, as for a
/// password.
pub(super) fn api_field(node_type: NodeType, recorded: &str) -> Option<&str> {
    match (node_type, recorded) {
        (NodeType::User, "avatar") => Some("avatarUrl"),
        (NodeType::User, "institutionId") => Some("institution"),
        (NodeType::User, "groups" | "sites") => Some(recorded),
        (NodeType::User, field) if field.starts_with(ATTRIBUTES) => Some(field),
        (NodeType::User, field) => user::Column::of_field(field).map(|_| field),
        // The user whose membership changed, and their role.
        (NodeType::Group, "userId" | "role") => Some("members"),
        (NodeType::Group | NodeType::Institution | NodeType::License, field) => Some(field),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
    use sea_orm::{EntityTrait, Iterable};

    use super::*;
    use crate::entity::subject::Subject;
    use crate::entity::{group, institution, license};

    /// The names of the fields of each type.
    fn fields() -> HashMap<String, Vec<String>> {
        let definitions = async_graphql::parser::parse_schema(crate::schema::sdl()).unwrap().definitions;
        let types = definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => match definition.node.kind {
                TypeKind::Object(object) => {
                    let fields = object.fields.into_iter().map(|field| field.node.name.node.to_string());
                    Some((definition.node.name.node.to_string(), fields.collect()))
                }
                _ => None,
            },
            _ => None,
        });
        types.collect()
    }

    fn check<M: Subject>(node_type: NodeType, type_name: &str) {
        let fields = fields();
        let names: Vec<String> =
            <M::Entity as EntityTrait>::Column::iter().filter_map(|column| M::recorded_as(&column)).collect();
        assert!(names.len() > 1);
        for recorded in names {
            let field = api_field(node_type, &recorded).unwrap_or_else(|| panic!("{type_name}.{recorded} is no field"));
            let (outer, inner) = field.split_once('.').map_or((field, None), |(outer, inner)| (outer, Some(inner)));
            assert!(fields[type_name].iter().any(|name| name == outer), "{type_name}.{field}");
            assert!(inner.is_none_or(|inner| fields["AdminRights"].iter().any(|name| name == inner)), "{field}");
        }
    }

    #[test]
    fn every_recorded_column_is_a_field_of_the_api() {
        check::<user::Model>(NodeType::User, "User");
        check::<group::Model>(NodeType::Group, "Group");
        check::<institution::Model>(NodeType::Institution, "Institution");
        check::<license::Model>(NodeType::License, "License");
    }

    #[test]
    fn secrets_and_reasons_are_no_fields() {
        for recorded in ["password", "pin", "reason", "devices"] {
            assert_eq!(api_field(NodeType::User, recorded), None);
        }
        for recorded in ["sites", "groups", "attributes.birthplace", "adminRights.isAdmin", "hasPin"] {
            assert_eq!(api_field(NodeType::User, recorded), Some(recorded));
        }
        assert_eq!(api_field(NodeType::Group, "userId"), Some("members"));
    }
}
