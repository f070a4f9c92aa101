//! The operations: their documents, their inputs, and how often they run.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::world::World;
use crate::app::input_of;
use crate::user_fields::USER_LEAVES;

/// The caller of an operation.
#[derive(Clone, Debug)]
pub enum Sender {
    Anonymous,
    /// One of the users who keep their rights.
    Fixed(usize),
    /// One of the other users, who may be changed or deleted.
    Passing(usize),
    /// An API key.
    Key(String),
}

/// A request, with marks for the values that differ between the two servers.
#[derive(Clone, Debug)]
pub struct Operation {
    pub sender: Sender,
    pub name: &'static str,
    pub query: String,
    pub variables: Value,
    /// Whether its response has cursors that lead to further pages.
    pub is_list: bool,
}

/// Makes the input of a mutation or the variables of a query.
type Make = fn(&mut World) -> Value;

/// The operations: the weight, the name, the selection of a mutation's payload or the document of a query, and the
/// function that makes the input or the variables. Add a line for a new operation.
#[rustfmt::skip]
pub const OPERATION_KINDS: &[(usize, &str, &str, Make)] = &[
    (85, "createUser", USER, World::new_user),
    (90, "updateUser", USER, World::user_update),
    (14, "setActive", SWITCHED, World::activation),
    (20, "deleteUser", "deletedUserId groupsPassedOn { __typename id name version }", |world| json!({ "id": world.any("User") })),
    (12, "createGroup", GROUP, |world| world.named_input(&["description"], 1)),
    (12, "updateGroup", GROUP, |world| world.named_update("Group", &["description"])),
    (4, "deleteGroup", "deletedGroupId", |world| json!({ "id": world.any("Group") })),
    (30, "setGroupMember", GROUP, |world| world.membership(true)),
    (12, "removeGroupMember", GROUP, |world| world.membership(false)),
    (12, "createInstitution", SITE, |world| world.new_site()),
    (12, "updateInstitution", SITE, |world| world.named_update("Institution", SITE_TEXTS)),
    (4, "deleteInstitution", "deletedInstitutionId", |world| json!({ "id": world.any("Institution") })),
    (22, "grantSiteAccess", USER, World::access),
    (10, "revokeSiteAccess", USER, World::access),
    (6, "createApiKey", KEY, World::key),
    (5, "revokeApiKey", "apiKey { __typename id name }", |world| json!({ "id": world.any("ApiKey") })),
    (3, "endSessions", "sessionsEnded devicesForgotten", |world| json!({ "userId": world.any_unguarded(), "includeCurrent": false })),
    (2, "renameLicense", "license { __typename id number holder }", |world| json!({ "id": world.any("License"), "holder": "Alder Trust" })),
    (8, "defineAttribute", DEFINITION, World::definition),
    (2, "removeAttribute", DEFINITION, |world| json!({ "name": world.attribute() })),
    (4, "attributeDefinitions", "{ attributeDefinitions { name label kind required userEditable userVisible } }", |_| json!({})),
    (3, "unlockUser", "user { __typename id version }", |world| json!({ "id": world.any("User") })),
    (3, "exportUser", "", |world| json!({ "id": world.any("User") })),
    (8, "resendActivation", "", |world| json!({ "id": world.any("User") })),
    (6, "requestPasswordReset", "", |world| json!({ "email": world.key_of_any_user() })),
    (80, "users", USERS, |world| world.user_list(20)),
    (20, "users", LINKED, |world| world.user_list(4)),
    (30, "searchUsers", SEARCH, World::search),
    (15, "resolveUsers", RESOLVE, |world| json!({ "keys": (0..10).map(|_| world.key_of_any_user()).collect::<Vec<_>>() })),
    (15, "user", ONE, |world| json!({ "by": world.user_by() })),
    (8, "node", NODE, |world| json!({ "id": world.anything() })),
    (10, "nodes", NODES, |world| json!({ "ids": (0..8).map(|_| world.anything()).collect::<Vec<_>>() })),
    (14, "groups", GROUPS, World::named_list),
    (10, "group", MEMBERS, |world| world.nested_list("Group")),
    (14, "institutions", SITES, World::named_list),
    (10, "institution", STAFF, |world| world.nested_list("Institution")),
    (10, "user", ACCESS, |world| world.nested_list("User")),
    (20, "auditEvents", EVENTS, World::event_list),
    (12, "changes", CHANGES, World::change_list),
    (4, "apiKeys", "{ apiKeys { __typename id name role createdAt expiresAt lastUsedAt createdBy { __typename id } } }", |_| json!({})),
    (4, "license", "query ($id: ID!) { license(id: $id) { __typename id number name kind holder expiresOn isExpired } }", |world| json!({ "id": world.any("License") })),
    (4, "viewer", "{ viewer { __typename id fullName version lastLogin license { __typename id name } sessions { __typename id isCurrent createdAt lastSeenAt expiresAt } devices { id createdAt } } }", |_| json!({})),
];

pub const SITE_TEXTS: &[&str] = &["city", "state", "address", "postcode"];

const USER: &str = "user { __typename ...Leaves attributes { name label value } institution { __typename id name } \
    invitation { state sentAt lastError } adminRights { isSuperuser isAdmin isGroupAdmin isAttributesAdmin } }";
const SWITCHED: &str = "sessionsEnded linksRevoked keysRevoked groupsPassedOn { __typename id name version } user { __typename id version isActive modifiedAt }";
const GROUP: &str = "group { __typename id version name description createdAt modifiedAt members(first: 5) { totalCount edges { cursor role joinedAt node { fullName } } } }";
const SITE: &str = "institution { __typename id version name displayName kind country state city address postcode phone email numBeds externalId createdAt modifiedAt }";
const DEFINITION: &str = "definition { name label kind required userEditable userVisible }";
const KEY: &str = "secret apiKey { __typename id name prefix role createdAt expiresAt }";

const USERS: &str = "query ($filter: UserFilter, $orderBy: [UserOrder!], $all: Boolean!, $first: Int, $last: Int, $after: String, $before: String) {
    users(filter: $filter, orderBy: $orderBy, includeInactive: $all, first: $first, last: $last, after: $after, before: $before) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { __typename id version fullName username email position role dateJoined modifiedAt lastLogin isActive } }
    }
}";
const LINKED: &str = "query ($filter: UserFilter, $orderBy: [UserOrder!], $all: Boolean!, $first: Int, $last: Int, $after: String, $before: String) {
    users(filter: $filter, orderBy: $orderBy, includeInactive: $all, first: $first, last: $last, after: $after, before: $before) {
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        nodes {
            __typename id version lastName birthDate mobile externalId institution { __typename id displayName users(first: 3) { totalCount nodes { fullName } } }
            license { __typename id name } groups { __typename id name } groupsOwned { name } memberships { role group { name } } sites(last: 3) { totalCount nodes { __typename id name } }
            attributes { name value } adminRights { isSuperuser isAdmin } viewerCan { update setActive delete seePrivate seeAdminRights } sessions { isCurrent createdAt }
        }
    }
}";
const SEARCH: &str = "query ($query: String!, $filter: UserFilter, $all: Boolean!, $first: Int, $after: String) {
    searchUsers(query: $query, filter: $filter, includeInactive: $all, first: $first, after: $after) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor score matchedFields node { __typename id fullName username email } }
    }
}";
const RESOLVE: &str =
    "query ($keys: [String!]!) { resolveUsers(keys: $keys) { key status user { __typename id fullName } } }";
const ONE: &str = "query ($by: UserBy!) { user(by: $by) { __typename id version fullName externalId groups { name } institution { name } viewerCan { update delete } } }";
const NODE: &str = "query ($id: ID!) { node(id: $id) { __typename id ... on User { fullName version } ... on Group { name version } ... on Institution { name version } ... on AuditEvent { action } } }";
const NODES: &str = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on User { fullName version } ... on Group { name version } ... on Institution { name version } ... on ApiKey { name } } }";
const GROUPS: &str = "query ($name: String, $first: Int, $last: Int, $after: String, $before: String) {
    groups(nameContains: $name, first: $first, last: $last, after: $after, before: $before) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { __typename id version name members(first: 3) { totalCount nodes { fullName groups { name } } } } }
    }
}";
const MEMBERS: &str = "query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String) {
    group(id: $id) { __typename id version members(first: $first, last: $last, after: $after, before: $before) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor role joinedAt node { __typename id fullName } }
    } }
}";
const SITES: &str = "query ($name: String, $first: Int, $last: Int, $after: String, $before: String) {
    institutions(nameContains: $name, first: $first, last: $last, after: $after, before: $before) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { __typename id version name displayName users(last: 3) { totalCount nodes { fullName } } } }
    }
}";
const STAFF: &str = "query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String) {
    institution(id: $id) { __typename id version users(first: $first, last: $last, after: $after, before: $before) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { __typename id fullName } }
    } }
}";
const ACCESS: &str = "query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String) {
    user(by: { id: $id }) { __typename id fullSiteAccess sites(first: $first, last: $last, after: $after, before: $before) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { __typename id displayName } }
    } }
}";
const EVENTS: &str = "query ($filter: AuditFilter, $first: Int, $after: String) {
    auditEvents(filter: $filter, first: $first, after: $after) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        edges { cursor node { id at action actor { fullName } apiKey { name } subject { __typename id } subjectId changes { field before after } requestId } }
    }
}";
/// The positions are named like cursors, so that pages are read after them.
const CHANGES: &str = "query ($types: [NodeType!], $first: Int, $after: String) {
    changes(types: $types, first: $first, after: $after) {
        endCursor: position hasMore
        changes { cursor: position kind type nodeId changedFields at node { __typename id ... on User { fullName isActive version } ... on Group { name } } }
    }
}";

/// The request for a line of the table.
pub fn operation(sender: Sender, name: &'static str, text: &str, arguments: Value) -> Operation {
    let is_query = text.contains('$') || text.starts_with('{');
    let operation = if is_query { query(name, text, arguments) } else { mutation(name, text, &arguments) };
    Operation { sender, ..operation }
}

fn query(name: &'static str, text: &str, variables: Value) -> Operation {
    Operation { sender: Sender::Anonymous, name, query: text.to_owned(), variables, is_list: text.contains("$after") }
}

fn mutation(name: &'static str, selection: &str, input: &Value) -> Operation {
    let mut query = format!(
        "mutation ($input: {}!) {{ done: {name}(input: $input) {{ success message errors {{ code path message }} {selection} }} }}",
        input_of(name)
    );
    if selection.contains("...Leaves") {
        write!(query, " fragment Leaves on User {{ {} }}", *USER_LEAVES).unwrap();
    }
    Operation { sender: Sender::Anonymous, name, query, variables: json!({ "input": input }), is_list: false }
}
