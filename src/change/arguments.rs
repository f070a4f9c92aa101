//! The arguments that the query and the subscription have in common. Each function adds an error if its argument is invalid.

use super::{NodeType, Position};
use crate::graphql::pagination::CursorKey;

/// Maximum number of types in a request.
const MAX_TYPES: usize = 100;

/// Returns the position of the argument or header `name`; `None` without one.
pub(super) fn position(key: &CursorKey, name: &str, after: Option<&str>, errors: &mut Vec<String>) -> Option<Position> {
    let position = after.and_then(|text| Position::decode(text, key));
    if after.is_some() && position.is_none() {
        errors.push(format!("{name}: must be a position that `changes` or `users` returned."));
    }
    position
}

/// Checks the number of types.
pub(super) fn check_types(types: Option<&[NodeType]>, errors: &mut Vec<String>) {
    if types.is_some_and(<[NodeType]>::is_empty) {
        errors.push("types: must contain at least one type.".to_owned());
    }
    if types.is_some_and(|types| types.len() > MAX_TYPES) {
        errors.push(format!("types: must contain at most {MAX_TYPES} types."));
    }
}
