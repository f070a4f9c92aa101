//! The changes from one schema to another, classified as graphql-inspector does: whether operations that were valid may fail
//! (breaking), may get values that they do not expect (dangerous), or go on as before (safe).

mod inputs;
mod members;
#[cfg(test)]
mod tests;

use async_graphql::parser::types::{ConstDirective, EnumType, EnumValueDefinition, TypeDefinition, TypeKind};
use async_graphql::{Name, Pos, Positioned, Value};
use serde::Serialize;

use self::members::{Member, pair};
use super::definition::Definition;

/// The effect of a change on clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Breaking,
    Dangerous,
    Safe,
}

/// A change of an element of a schema.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub level: Level,
    /// The schema coordinate of the element, such as `Query.users(first:)`.
    pub coordinate: String,
    pub message: String,
    /// The line of the element in the old schema; `None` if it is new.
    pub line: Option<usize>,
}

/// Returns the changes from one schema to another, the breaking ones first, then by coordinate.
///
/// # Errors
/// The reason why one of the schemas cannot be parsed.
pub fn diff(old: &str, new: &str) -> Result<Vec<Change>, String> {
    let (old, new) = (Definition::parse(old)?, Definition::parse(new)?);
    let mut changes = Changes::default();
    changes.of_roots(&old, &new);
    changes.of_directives(&old, &new);
    changes.of_types(&old, &new);
    changes.0.sort_by(|one, other| (one.level, &one.coordinate).cmp(&(other.level, &other.coordinate)));
    Ok(changes.0)
}

/// The changes that were found.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, level: Level, coordinate: &str, at: Option<Pos>, message: impl Into<String>) {
        let line = at.map(|at| at.line);
        self.0.push(Change { level, coordinate: coordinate.to_owned(), message: message.into(), line });
    }

    fn of_roots(&mut self, old: &Definition, new: &Definition) {
        for ((kind, before), (_, after)) in old.roots().into_iter().zip(new.roots()) {
            let level = if before.is_none() { Level::Safe } else { Level::Breaking };
            if before != after {
                let name = |name: Option<&str>| name.unwrap_or("none").to_owned();
                let message = format!("The root type of {kind} changed from {} to {}", name(before), name(after));
                self.add(level, before.or(after).unwrap_or_default(), None, message);
            }
        }
    }

    fn of_types(&mut self, old: &Definition, new: &Definition) {
        for (name, before) in &old.types {
            match new.types.get(name) {
                None => self.add(Level::Breaking, name, Some(before.pos), "The type was removed"),
                Some(after) => self.of_type(name, before, &after.node),
            }
        }
        for name in new.types.keys().filter(|name| !old.types.contains_key(*name)) {
            self.add(Level::Safe, name, None, "The type was added");
        }
    }

    fn of_type(&mut self, name: &str, old: &Positioned<TypeDefinition>, new: &TypeDefinition) {
        let at = Some(old.pos);
        self.of_description(name, at, (&old.node.description, &new.description));
        self.of_usages(name, at, (&old.node.directives, &new.directives));
        match (&old.node.kind, &new.kind) {
            (TypeKind::Scalar, TypeKind::Scalar) => {}
            (TypeKind::Object(before), TypeKind::Object(after)) => {
                self.of_interfaces(name, at, (&before.implements, &after.implements));
                self.of_fields(name, (&before.fields, &after.fields));
            }
            (TypeKind::Interface(before), TypeKind::Interface(after)) => {
                self.of_interfaces(name, at, (&before.implements, &after.implements));
                self.of_fields(name, (&before.fields, &after.fields));
            }
            (TypeKind::Union(before), TypeKind::Union(after)) => {
                for member in pair(&before.members, &after.members, |name| name.as_str()) {
                    match member {
                        Member::Removed(member) => {
                            self.add(Level::Breaking, name, at, format!("{} was removed from the union", member.node));
                        }
                        Member::Added(member) => {
                            self.add(Level::Dangerous, name, at, format!("{member} was added to the union"));
                        }
                        Member::Kept(..) => {}
                    }
                }
            }
            (TypeKind::Enum(before), TypeKind::Enum(after)) => self.of_enum(name, before, after),
            (TypeKind::InputObject(before), TypeKind::InputObject(after)) => {
                self.of_input_fields(name, (&before.fields, &after.fields));
            }
            _ => self.add(Level::Breaking, name, at, "The type became one of another kind"),
        }
    }

    fn of_interfaces(&mut self, name: &str, at: Option<Pos>, (old, new): Both<[Positioned<Name>]>) {
        for member in pair(old, new, |name| name.as_str()) {
            match member {
                Member::Removed(interface) => {
                    let message = format!("The type no longer implements {}", interface.node);
                    self.add(Level::Breaking, name, at, message);
                }
                Member::Added(interface) => {
                    self.add(Level::Dangerous, name, at, format!("The type implements {interface}"));
                }
                Member::Kept(..) => {}
            }
        }
    }

    fn of_enum(&mut self, name: &str, old: &EnumType, new: &EnumType) {
        for value in pair(&old.values, &new.values, |value| value.value.node.as_str()) {
            let coordinate = |value: &EnumValueDefinition| format!("{name}.{}", value.value.node);
            match value {
                Member::Removed(value) => {
                    self.add(Level::Breaking, &coordinate(&value.node), Some(value.pos), "The value was removed");
                }
                Member::Added(value) => {
                    self.add(Level::Dangerous, &coordinate(value), None, "The value was added");
                }
                Member::Kept(before, after) => {
                    let (coordinate, at) = (coordinate(after), Some(before.pos));
                    self.of_description(&coordinate, at, (&before.node.description, &after.description));
                    self.of_deprecation(&coordinate, at, (&before.node.directives, &after.directives));
                    self.of_usages(&coordinate, at, (&before.node.directives, &after.directives));
                }
            }
        }
    }

    fn of_description(&mut self, coordinate: &str, at: Option<Pos>, (old, new): Both<Option<Positioned<String>>>) {
        if old.as_ref().map(|text| &text.node) != new.as_ref().map(|text| &text.node) {
            self.add(Level::Safe, coordinate, at, "The description changed");
        }
    }

    fn of_deprecation(&mut self, coordinate: &str, at: Option<Pos>, (old, new): Both<[Positioned<ConstDirective>]>) {
        let message = match (deprecation(old), deprecation(new)) {
            (None, Some(reason)) => format!("The element was deprecated: {reason}"),
            (Some(_), None) => "The element is no longer deprecated".to_owned(),
            (Some(before), Some(after)) if before != after => format!("The reason of the deprecation is now: {after}"),
            _ => return,
        };
        self.add(Level::Safe, coordinate, at, message);
    }

    /// Compares the directives of an element, except its deprecation.
    fn of_usages(&mut self, coordinate: &str, at: Option<Pos>, (old, new): Both<[Positioned<ConstDirective>]>) {
        for directive in pair(old, new, |directive| directive.name.node.as_str()) {
            let name = match &directive {
                Member::Removed(directive) => directive.node.name.node.as_str(),
                Member::Added(directive) | Member::Kept(_, directive) => directive.name.node.as_str(),
            };
            let is_one_of = name == "oneOf";
            let (level, message) = match &directive {
                _ if name == "deprecated" => continue,
                Member::Added(_) if is_one_of => (Level::Breaking, format!("@{name} was added")),
                Member::Removed(_) if is_one_of => (Level::Safe, format!("@{name} was removed")),
                Member::Added(_) => (Level::Dangerous, format!("@{name} was added")),
                Member::Removed(_) => (Level::Dangerous, format!("@{name} was removed")),
                Member::Kept(before, after) if arguments(&before.node) != arguments(after) => {
                    (Level::Dangerous, format!("The arguments of @{name} changed"))
                }
                Member::Kept(..) => continue,
            };
            self.add(level, coordinate, at, message);
        }
    }
}

/// The same part of an element in the old and in the new schema.
type Both<'a, T> = (&'a T, &'a T);

fn arguments(directive: &ConstDirective) -> Vec<(&str, &Value)> {
    let mut arguments: Vec<_> =
        directive.arguments.iter().map(|(name, value)| (name.node.as_str(), &value.node)).collect();
    arguments.sort_by_key(|(name, _)| *name);
    arguments
}

/// Returns the reason of a deprecation; `None` if the element is not deprecated.
fn deprecation(directives: &[Positioned<ConstDirective>]) -> Option<String> {
    let directive = directives.iter().find(|directive| directive.node.name.node == "deprecated")?;
    let reason = directive.node.arguments.iter().find(|(name, _)| name.node == "reason");
    Some(match reason.map(|(_, value)| &value.node) {
        Some(Value::String(reason)) => reason.clone(),
        _ => "No longer supported".to_owned(),
    })
}
