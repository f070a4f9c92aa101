//! The assumed lengths of the lists of the schema.

use async_graphql::Value;

/// The assumed length of the lists that are not pages: the maximum if that is a small number, otherwise a usual length.
const LISTS: [(&str, &str, usize); 16] = [
    ("User", "externalReferences", 2),
    ("Group", "externalReferences", 2),
    ("Institution", "externalReferences", 2),
    ("User", "groups", 5),
    ("User", "groupsOwned", 5),
    ("User", "memberships", 5),
    ("User", "attributes", 5),
    ("User", "sessions", 20),
    ("User", "devices", 20),
    ("SetActivePayload", "groupsPassedOn", 50),
    ("DeleteUserPayload", "groupsPassedOn", 50),
    ("AuditEvent", "changes", 10),
    ("Query", "apiKeys", 100),
    ("Query", "attributeDefinitions", 100),
    ("UserSearchMatch", "matchedFields", 5),
    // Most rows have none.
    ("ImportedRow", "errors", 1),
];
/// The assumed number of errors in a payload.
const PAYLOAD_ERRORS: usize = 10;
/// Lists with one item for each item of an argument.
const LISTS_PER_ARGUMENT: [(&str, &str, &str); 2] = [("Query", "nodes", "ids"), ("Query", "resolveUsers", "keys")];
/// Maximum number of these items that are counted; more are rejected when the argument is read.
pub const MAX_ITEMS: usize = 1_000;

/// Cost of a row of an import: users are written many at a time.
pub const ROW: usize = 20;
/// The list with one item for each row of an import, as if that was a page.
const IMPORT_RESULTS: (&str, &str) = ("ImportUsersPayload", "results");

/// The assumed length of a list.
pub enum Length {
    Fixed(usize),
    OfPage,
    /// The number of items of the argument with this name.
    OfArgument(&'static str),
}

/// Returns whether a type is a page of a list.
pub fn is_page(type_name: &str) -> bool {
    type_name.ends_with("Connection") || type_name == "ChangePage"
}

/// Returns the assumed length of a list, the field of a type; `None` if none is defined.
pub fn length(type_name: &str, field: &str) -> Option<Length> {
    if is_page(type_name) && matches!(field, "nodes" | "edges" | "changes") || (type_name, field) == IMPORT_RESULTS {
        return Some(Length::OfPage);
    }
    if type_name.ends_with("Payload") && field == "errors" {
        return Some(Length::Fixed(PAYLOAD_ERRORS));
    }
    let is_this = |list_type: &str, name: &str| (list_type, name) == (type_name, field);
    let per_argument = LISTS_PER_ARGUMENT.iter().find(|(list_type, name, _)| is_this(list_type, name));
    let fixed = || LISTS.iter().find(|(list_type, name, _)| is_this(list_type, name));
    match per_argument {
        Some((_, _, argument)) => Some(Length::OfArgument(argument)),
        None => fixed().map(|(_, _, length)| Length::Fixed(*length)),
    }
}

/// Returns the number of rows in the input of an import.
pub fn rows(input: Option<&Value>) -> usize {
    let Some(Value::Object(input)) = input else { return 1 };
    match input.get("rows") {
        Some(Value::List(rows)) => rows.len().min(MAX_ITEMS),
        _ => 1,
    }
}
