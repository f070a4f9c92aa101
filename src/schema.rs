//! The GraphQL schema, merged from the features.

use std::collections::HashSet;
use std::sync::LazyLock;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use async_graphql::{
    Interface, MergedObject, MergedSubscription, SDLExportOptions, Schema, SchemaBuilder, ValidationMode,
};
use chrono::{DateTime, Utc};

use crate::access::ROOT_FIELDS;
use crate::api_key::mutation::{ApiKeyMutation, ApiKeyPayload, CreateApiKeyPayload};
use crate::api_key::query::ApiKeyQuery;
use crate::attribute::mutation::{AttributeDefinitionPayload, AttributeMutation};
use crate::attribute::query::AttributeQuery;
use crate::audit_event::query::AuditQuery;
use crate::change::query::ChangeQuery;
use crate::change::subscription::ChangeSubscription;
use crate::entity::{audit_event, group, institution, user};
use crate::error::{Error, MutationError};
use crate::graphql::node::NodeQuery;
use crate::graphql::pagination::{Connection, PositionedConnection};
use crate::graphql::payload::{ReceiptPayload, UserPayload};
use crate::graphql::projection::is_accounted_for;
use crate::group::mutation::{DeleteGroupPayload, GroupMutation, GroupPayload};
use crate::group::query::{GroupQuery, MemberConnection};
use crate::http::compression::EncodedBody;
use crate::http::{self, PublishedSchema, introspection};
use crate::import::mutation::{ImportMutation, ImportUsersPayload};
use crate::institution::mutation::{DeleteInstitutionPayload, InstitutionMutation, InstitutionPayload};
use crate::institution::query::InstitutionQuery;
use crate::license::mutation::{LicenseMutation, LicensePayload};
use crate::license::query::LicenseQuery;
use crate::session::email_mutation::EmailMutation;
use crate::session::mutation::{EndSessionsPayload, LoginPayload, LogoutPayload, SessionMutation};
use crate::site_access::mutation::SiteAccessMutation;
use crate::user::mutation::{DeleteUserPayload, ExportUserPayload, SetActivePayload, UserMutation};
use crate::user::query::UserQuery;
use crate::user::resolve::ResolveQuery;
use crate::user::search::{SearchConnection, SearchQuery};
use crate::web::reference;

/// Root query type. Every field except `viewer` requires a signed-in user (`UNAUTHENTICATED` otherwise). Superusers see
/// every license, and all other users only their own. A query, argument or filter that the viewer may not use is
/// `FORBIDDEN`. An invalid argument, such as a malformed ID or a cursor of another list, is `BAD_USER_INPUT`. A request
/// for too much data is `DOCUMENT_TOO_LARGE` or `ANSWER_TOO_LARGE`. The code of an error is its `extensions.code`.
#[derive(MergedObject, Default)]
pub struct Query(
    UserQuery,
    SearchQuery,
    ResolveQuery,
    GroupQuery,
    InstitutionQuery,
    LicenseQuery,
    AttributeQuery,
    ApiKeyQuery,
    AuditQuery,
    ChangeQuery,
    NodeQuery,
);

/// Root mutation type. Every payload says whether the mutation succeeded and, if not, lists the errors in the input.
/// Any other error is a top-level error with a code in `extensions.code`, such as `UNAUTHENTICATED`, `FORBIDDEN` or
/// `RATE_LIMITED`, and the field is null. A request can contain only one mutation that checks or sets a password or PIN
/// (`BAD_USER_INPUT` otherwise). `requestPasswordReset` and `registerUser` count as such.
#[derive(MergedObject, Default)]
pub struct Mutation(
    UserMutation,
    SessionMutation,
    EmailMutation,
    GroupMutation,
    InstitutionMutation,
    SiteAccessMutation,
    LicenseMutation,
    AttributeMutation,
    ApiKeyMutation,
    ImportMutation,
);

/// Root subscription type. Events are sent over a WebSocket (subprotocol `graphql-transport-ws`) or as server-sent
/// events (`Accept: text/event-stream`). Requires a signed-in user. Over a WebSocket, the token is sent in the payload
/// of `connection_init`, as `{ "Authorization": "Bearer ..." }`. Without a valid token, the WebSocket is closed with
/// code 4403, and an event stream fails with `UNAUTHENTICATED`. When the session ends, the WebSocket is closed with
/// code 4401, and an event stream ends with `UNAUTHENTICATED`.
#[derive(MergedSubscription, Default)]
pub struct Subscription(ChangeSubscription);

/// The fields that every mutation payload has.
#[derive(Interface)]
#[graphql(
    field(name = "success", ty = "&bool", desc = "Whether the mutation succeeded. If not, nothing has changed."),
    field(name = "message", ty = "&String", desc = "A message in English that can be shown to the user."),
    field(
        name = "errors",
        ty = "&Vec<MutationError>",
        desc = "The errors in the input, at most 100. Empty on success."
    )
)]
pub enum MutationPayload {
    User(UserPayload),
    Receipt(ReceiptPayload),
    ExportUser(ExportUserPayload),
    SetActive(SetActivePayload),
    DeleteUser(DeleteUserPayload),
    EndSessions(EndSessionsPayload),
    Login(LoginPayload),
    Logout(LogoutPayload),
    Group(GroupPayload),
    DeleteGroup(DeleteGroupPayload),
    Institution(InstitutionPayload),
    DeleteInstitution(DeleteInstitutionPayload),
    License(LicensePayload),
    AttributeDefinition(AttributeDefinitionPayload),
    CreateApiKey(CreateApiKeyPayload),
    ApiKey(ApiKeyPayload),
    ImportUsers(ImportUsersPayload),
}

/// The type of the schema that is served.
pub type RosterSchema = Schema<Query, Mutation, Subscription>;

/// Returns the builder of the schema, to which the data of the resolvers is still to be added.
#[must_use]
pub fn build() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .register_output_type::<MutationPayload>()
        .override_output_type_description::<PositionedConnection<user::Model>>("A page of users.")
        .override_output_type_description::<SearchConnection>("A page of user search results.")
        .override_output_type_description::<MemberConnection>("A page of the members of a group.")
        .override_output_type_description::<Connection<group::Model>>("A page of groups.")
        .override_output_type_description::<Connection<institution::Model>>("A page of institutions.")
        .override_output_type_description::<Connection<audit_event::Model>>("A page of audit events.")
        .override_output_type_description::<DateTime<Utc>>(
            "A date and time in RFC 3339 format. Returned in UTC, such as `2026-01-31T09:30:00.123456Z`. An input \
             must have an offset from UTC, such as `Z` or `+02:00`.",
        )
        // The server has already validated each document by all rules of the specification.
        .validation_mode(ValidationMode::Fast)
        .disable_suggestions()
}

/// Checks that each root field has an access rule, that each access rule has a root field, and that the columns behind each field
/// of `User` are known.
///
/// # Errors
/// `Internal`, naming the fields.
pub fn check() -> Result<(), Error> {
    let definitions = parse_schema(sdl()).map_err(Error::internal)?.definitions;
    let fields_of = |type_name: &str| -> Vec<String> {
        let object = definitions.iter().find_map(|definition| match definition {
            TypeSystemDefinition::Type(of) if of.node.name.node == type_name => match &of.node.kind {
                TypeKind::Object(object) => Some(object),
                _ => None,
            },
            _ => None,
        });
        object.into_iter().flat_map(|object| &object.fields).map(|field| field.node.name.node.to_string()).collect()
    };
    let root: HashSet<String> = ["Query", "Mutation", "Subscription"].into_iter().flat_map(fields_of).collect();
    let with_rule: HashSet<String> = ROOT_FIELDS.iter().map(|(field, _)| (*field).to_owned()).collect();
    let unmatched: Vec<String> = root.symmetric_difference(&with_rule).cloned().collect();
    if !unmatched.is_empty() {
        let message = "root fields without an access rule, or access rules without a root field";
        return Err(Error::internal(format!("{message}: {}", unmatched.join(", "))));
    }
    let fields = fields_of("User").into_iter();
    let unaccounted: Vec<String> = fields.filter(|field| !is_accounted_for::<user::Entity>(field)).collect();
    if !unaccounted.is_empty() {
        let message = "fields of User whose columns are not in COMPUTED_FIELDS";
        return Err(Error::internal(format!("{message}: {}", unaccounted.join(", "))));
    }
    Ok(())
}

/// Returns the schema in the schema definition language, as in `schema.graphql`: with the description of the schema, which
/// async-graphql's parser does not accept.
#[must_use]
pub fn described_sdl() -> String {
    let description = format!("{QUOTES}\n{}\n{QUOTES}\nschema {{", introspection::DESCRIPTION);
    sdl().replacen("\nschema {", &format!("\n{description}"), 1)
}

/// Returns the schema as it is published for clients, with an entity tag.
#[must_use]
pub fn published() -> &'static PublishedSchema {
    static PUBLISHED: LazyLock<PublishedSchema> = LazyLock::new(|| {
        let described = described_sdl();
        let reference = reference::page(&sdl(), introspection::DESCRIPTION)
            .inspect_err(|error| tracing::error!(error = error.for_log(), "failed to render the schema reference"));
        PublishedSchema {
            etag: format!("\"{}\"", http::hash_of(&described)),
            sdl: EncodedBody::new(described.into_bytes()),
            reference: reference.ok(),
        }
    });
    &PUBLISHED
}

/// Returns the schema in the schema definition language.
#[must_use]
pub fn sdl() -> String {
    sdl_of(&build().finish())
}

/// Returns a schema in the schema definition language; its content is the same as in introspection.
#[must_use]
pub fn sdl_of(schema: &RosterSchema) -> String {
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().include_specified_by();
    let mut lines: Vec<String> = Vec::new();
    for line in schema.sdl_with_options(options).lines() {
        if line.starts_with("directive @") {
            // The description comes before the directive, between two lines of quotes.
            lines.pop();
            while lines.pop().is_some_and(|line| line != QUOTES) {}
        } else if line == "schema {" {
            lines.extend(introspection::DIRECTIVES.lines().chain([line]).map(str::to_owned));
        } else {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}

/// The delimiter of a description.
const QUOTES: &str = "\"\"\"";
