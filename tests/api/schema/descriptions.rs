//! Descriptions that list fields or count them: the code decides which.

use std::collections::BTreeSet;

use roster::access::SELF_EDITABLE_FIELDS;
use roster::entity::user::{Column, Privacy};
use sea_orm::Iterable as _;

use super::text_of;
use crate::definition::Definition;

#[test]
fn users_can_be_ordered_by_each_field_once() {
    let definition = Definition::of_roster();
    let users = definition.fields("Query").into_iter().find(|field| field.name.node == "users").unwrap();
    let order_by = users.arguments.iter().find(|argument| argument.node.name.node == "orderBy").unwrap();
    let described = text_of(order_by.node.description.as_ref());
    let limit = format!("At most {}, each field once.", definition.enum_values("UserOrderField").len());
    assert!(described.contains(&limit), "{limit} {described}");
}

#[test]
fn the_description_of_update_user_names_the_fields_that_users_may_update() {
    let definition = Definition::of_roster();
    let update = definition.fields("Mutation").into_iter().find(|field| field.name.node == "updateUser").unwrap();
    let described = text_of(update.description.as_ref());
    let list = described.split_once("own profile:").and_then(|(_, rest)| rest.split_once('.')).unwrap().0;
    let named: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(named, BTreeSet::from(SELF_EDITABLE_FIELDS), "{described}");
}

#[test]
fn private_columns_are_described_as_private() {
    let definition = Definition::of_roster();
    let fields = definition.fields("User").into_iter();
    let described: BTreeSet<String> = fields
        .filter(|field| text_of(field.description.as_ref()).contains("Private:"))
        .map(|field| field.name.node.to_string())
        .collect();
    let private = Column::iter().filter(|column| column.privacy() == Privacy::Private).map(Column::field);
    assert_eq!(described, private.collect::<BTreeSet<String>>());
}
