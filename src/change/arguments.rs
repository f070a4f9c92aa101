//! The arguments that the query and the subscriptions have in common. Each function adds an error if its argument is invalid.

use super::{ChangeFilter, Position};
use crate::graphql::pagination::CursorKey;

/// Maximum number of types, and of IDs, in a request.
const MAX_ITEMS: usize = 100;

/// Returns the position of the argument or header `name`; `None` without one.
pub(super) fn position(key: &CursorKey, name: &str, after: Option<&str>, errors: &mut Vec<String>) -> Option<Position> {
    let position = after.and_then(|text| Position::decode(text, key));
    if after.is_some() && position.is_none() {
        errors.push(format!("{name}: must be a position that `changes`, `userChanged` or `users` returned."));
    }
    position
}

/// Checks the numbers of types and IDs.
pub(super) fn check_filter(filter: &ChangeFilter, errors: &mut Vec<String>) {
    let lengths =
        [("types", "type", filter.types.as_ref().map(Vec::len)), ("ids", "ID", filter.ids.as_ref().map(Vec::len))];
    for (name, item, length) in lengths {
        if length == Some(0) {
            errors.push(format!("{name}: must contain at least one {item}."));
        }
        if length.is_some_and(|length| length > MAX_ITEMS) {
            errors.push(format!("{name}: must contain at most {MAX_ITEMS} {item}s."));
        }
    }
}
