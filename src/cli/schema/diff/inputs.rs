//! The changes of what clients send: arguments, fields of input objects, and directives.

use async_graphql::parser::types::{BaseType, DirectiveDefinition, DirectiveLocation, InputValueDefinition, Type};
use async_graphql::{Pos, Positioned, Value};

use super::members::{Member, pair};
use super::{Both, Changes, Level};
use crate::cli::schema::definition::{Definition, SPECIFIED_DIRECTIVES};

impl Changes {
    pub(super) fn of_arguments(&mut self, field: &str, (old, new): Both<[Positioned<InputValueDefinition>]>) {
        for argument in pair(old, new, |argument| argument.name.node.as_str()) {
            let coordinate = |argument: &InputValueDefinition| format!("{field}({}:)", argument.name.node);
            match argument {
                Member::Removed(of) => {
                    self.add(Level::Breaking, &coordinate(&of.node), Some(of.pos), "The argument was removed");
                }
                Member::Added(of) => {
                    let level = if is_required(of) { Level::Breaking } else { Level::Dangerous };
                    self.add(level, &coordinate(of), None, format!("The argument of type {} was added", of.ty.node));
                }
                Member::Kept(before, after) => self.of_value(&coordinate(after), before, after),
            }
        }
    }

    pub(super) fn of_input_fields(&mut self, owner: &str, (old, new): Both<[Positioned<InputValueDefinition>]>) {
        for field in pair(old, new, |field| field.name.node.as_str()) {
            let coordinate = |field: &InputValueDefinition| format!("{owner}.{}", field.name.node);
            match field {
                Member::Removed(of) => {
                    self.add(Level::Breaking, &coordinate(&of.node), Some(of.pos), "The input field was removed");
                }
                Member::Added(of) => {
                    let level = match &of.default_value {
                        Some(_) => Level::Dangerous,
                        None if is_required(of) => Level::Breaking,
                        None => Level::Safe,
                    };
                    self.add(level, &coordinate(of), None, format!("The input field of type {} was added", of.ty.node));
                }
                Member::Kept(before, after) => self.of_value(&coordinate(after), before, after),
            }
        }
    }

    /// Compares an argument or a field of an input object.
    fn of_value(&mut self, coordinate: &str, old: &Positioned<InputValueDefinition>, new: &InputValueDefinition) {
        let (at, old) = (Some(old.pos), &old.node);
        self.of_description(coordinate, at, (&old.description, &new.description));
        self.of_deprecation(coordinate, at, (&old.directives, &new.directives));
        self.of_usages(coordinate, at, (&old.directives, &new.directives));
        self.of_default(coordinate, at, (old, new));
        let (before, after) = (&old.ty.node, &new.ty.node);
        if before != after {
            let level = if is_safe_input(before, after) { Level::Safe } else { Level::Breaking };
            self.add(level, coordinate, at, format!("The type changed from {before} to {after}"));
        }
    }

    fn of_default(&mut self, coordinate: &str, at: Option<Pos>, (old, new): Both<InputValueDefinition>) {
        let (before, after) = (default_of(old), default_of(new));
        if before == after {
            return;
        }
        // Clients that omit a required value rely on its default. graphql-inspector calls its loss dangerous.
        let level = if is_required(new) { Level::Breaking } else { Level::Dangerous };
        let text = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), ToString::to_string);
        self.add(level, coordinate, at, format!("The default changed from {} to {}", text(before), text(after)));
    }

    pub(super) fn of_directives(&mut self, old: &Definition, new: &Definition) {
        let is_own = |name: &str| !SPECIFIED_DIRECTIVES.contains(&name);
        for (name, before) in old.directives.iter().filter(|(name, _)| is_own(name)) {
            let coordinate = format!("@{name}");
            match new.directives.get(name) {
                None => self.add(Level::Breaking, &coordinate, Some(before.pos), "The directive was removed"),
                Some(after) => self.of_directive(&coordinate, before, &after.node),
            }
        }
        for name in new.directives.keys().filter(|name| is_own(name) && !old.directives.contains_key(*name)) {
            self.add(Level::Safe, &format!("@{name}"), None, "The directive was added");
        }
    }

    fn of_directive(&mut self, name: &str, old: &Positioned<DirectiveDefinition>, new: &DirectiveDefinition) {
        let (at, old) = (Some(old.pos), &old.node);
        self.of_description(name, at, (&old.description, &new.description));
        let has =
            |of: &DirectiveDefinition, location: DirectiveLocation| of.locations.iter().any(|one| one.node == location);
        for location in old.locations.iter().filter(|one| !has(new, one.node)) {
            self.add(Level::Breaking, name, at, format!("The location {:?} was removed", location.node));
        }
        for location in new.locations.iter().filter(|one| !has(old, one.node)) {
            self.add(Level::Safe, name, at, format!("The location {:?} was added", location.node));
        }
        match (old.is_repeatable, new.is_repeatable) {
            (true, false) => self.add(Level::Dangerous, name, at, "The directive is no longer repeatable"),
            (false, true) => self.add(Level::Safe, name, at, "The directive became repeatable"),
            _ => {}
        }
        self.of_arguments(name, (&old.arguments, &new.arguments));
    }
}

fn default_of(value: &InputValueDefinition) -> Option<&Value> {
    value.default_value.as_ref().map(|value| &value.node)
}

/// Returns whether a client must send a value.
fn is_required(value: &InputValueDefinition) -> bool {
    !value.ty.node.nullable && value.default_value.is_none()
}

/// Returns whether values of the old type can be sent as the new one.
fn is_safe_input(old: &Type, new: &Type) -> bool {
    let is_base_safe = match (&old.base, &new.base) {
        (BaseType::Named(old), BaseType::Named(new)) => old == new,
        (BaseType::List(old), BaseType::List(new)) => is_safe_input(old, new),
        _ => false,
    };
    (!old.nullable || new.nullable) && is_base_safe
}
