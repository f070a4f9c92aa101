//! The fields of types, and the members of two lists by name.

use std::collections::BTreeMap;

use async_graphql::Positioned;
use async_graphql::parser::types::{BaseType, FieldDefinition, Type};

use super::{Both, Changes, Level};

/// A member of one of two lists, or of both.
pub enum Member<'a, T> {
    Removed(&'a Positioned<T>),
    Added(&'a T),
    Kept(&'a Positioned<T>, &'a T),
}

/// Returns the members of two lists, sorted by name.
pub fn pair<'a, T>(
    old: &'a [Positioned<T>],
    new: &'a [Positioned<T>],
    name: impl Fn(&'a T) -> &'a str,
) -> Vec<Member<'a, T>> {
    let mut members: BTreeMap<&str, (Option<&Positioned<T>>, Option<&T>)> = BTreeMap::new();
    for member in old {
        members.entry(name(&member.node)).or_default().0 = Some(member);
    }
    for member in new {
        members.entry(name(&member.node)).or_default().1 = Some(&member.node);
    }
    let member = |pair| match pair {
        (Some(before), Some(after)) => Some(Member::Kept(before, after)),
        (Some(before), None) => Some(Member::Removed(before)),
        (None, Some(after)) => Some(Member::Added(after)),
        (None, None) => None,
    };
    members.into_values().filter_map(member).collect()
}

impl Changes {
    pub(super) fn of_fields(&mut self, owner: &str, (old, new): Both<[Positioned<FieldDefinition>]>) {
        for field in pair(old, new, |field| field.name.node.as_str()) {
            let coordinate = |field: &FieldDefinition| format!("{owner}.{}", field.name.node);
            match field {
                Member::Removed(field) => {
                    self.add(Level::Breaking, &coordinate(&field.node), Some(field.pos), "The field was removed");
                }
                Member::Added(field) => self.add(Level::Safe, &coordinate(field), None, "The field was added"),
                Member::Kept(before, after) => self.of_field(&coordinate(after), before, after),
            }
        }
    }

    fn of_field(&mut self, coordinate: &str, old: &Positioned<FieldDefinition>, new: &FieldDefinition) {
        let (at, old) = (Some(old.pos), &old.node);
        self.of_description(coordinate, at, (&old.description, &new.description));
        self.of_deprecation(coordinate, at, (&old.directives, &new.directives));
        self.of_usages(coordinate, at, (&old.directives, &new.directives));
        let (before, after) = (&old.ty.node, &new.ty.node);
        if before != after {
            let level = if is_safe_output(before, after) { Level::Safe } else { Level::Breaking };
            self.add(level, coordinate, at, format!("The type changed from {before} to {after}"));
        }
        self.of_arguments(coordinate, (&old.arguments, &new.arguments));
    }
}

/// Returns whether a client that expects values of the old type can read those of the new one.
fn is_safe_output(old: &Type, new: &Type) -> bool {
    let is_base_safe = match (&old.base, &new.base) {
        (BaseType::Named(old), BaseType::Named(new)) => old == new,
        (BaseType::List(old), BaseType::List(new)) => is_safe_output(old, new),
        _ => false,
    };
    (old.nullable || !new.nullable) && is_base_safe
}
