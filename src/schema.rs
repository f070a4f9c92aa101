//! The API as a whole, merged from the features.

use async_graphql::{EmptySubscription, Interface, MergedObject, SDLExportOptions, Schema, SchemaBuilder};
use chrono::{DateTime, Utc};

use crate::entity::{group, institution, user};
use crate::error::MutationError;
use crate::group::mutation::{GroupMutation, GroupPayload};
use crate::group::query::{GroupQuery, MemberConnection};
use crate::institution::mutation::{InstitutionMutation, InstitutionPayload};
use crate::institution::query::InstitutionQuery;
use crate::license::query::LicenseQuery;
use crate::node::NodeQuery;
use crate::page::Connection;
use crate::session::mutation::{LoginPayload, LogoutPayload, SessionMutation};
use crate::user::mutation::{SetActivePayload, UserMutation, UserPayload};
use crate::user::query::UserQuery;
use crate::user::search::{SearchConnection, SearchQuery};

/// How much a document may cost: its fields, each as often as it can come in the answer when every page is full.
const HIGHEST_COST: usize = 50_000;

/// What can be asked.
#[derive(MergedObject, Default)]
pub struct Query(UserQuery, SearchQuery, GroupQuery, InstitutionQuery, LicenseQuery, NodeQuery);

/// What can be changed. Every payload says whether it was done and, if not, every fault of the input at once. Not signed
/// in, not allowed, over a limit: a top-level error with `extensions.code`.
#[derive(MergedObject, Default)]
pub struct Mutation(UserMutation, SessionMutation, GroupMutation, InstitutionMutation);

/// What every payload says.
#[derive(Interface)]
#[graphql(
    field(name = "success", ty = "&bool", desc = "Whether it was done; if not, nothing has changed."),
    field(name = "message", ty = "&String", desc = "A sentence that the person at the screen can be shown."),
    field(
        name = "errors",
        ty = "&Vec<MutationError>",
        desc = "Every fault of the input, at most 100; empty on success."
    )
)]
pub enum MutationPayload {
    User(UserPayload),
    SetActive(SetActivePayload),
    Login(LoginPayload),
    Logout(LogoutPayload),
    Group(GroupPayload),
    Institution(InstitutionPayload),
}

/// The schema that is served.
pub type RosterSchema = Schema<Query, Mutation, EmptySubscription>;

/// The schema, to be finished with what its resolvers need.
#[must_use]
pub fn build() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        .register_output_type::<MutationPayload>()
        .override_output_type_description::<Connection<user::Model>>("A page of people.")
        .override_output_type_description::<SearchConnection>("A page of people who were searched for.")
        .override_output_type_description::<MemberConnection>("A page of the members of a group.")
        .override_output_type_description::<Connection<group::Model>>("A page of groups.")
        .override_output_type_description::<Connection<institution::Model>>("A page of institutions.")
        .override_output_type_description::<DateTime<Utc>>(
            "An instant in UTC as RFC 3339 writes it, such as `2026-01-31T09:30:00.123456+00:00`.",
        )
        .limit_complexity(HIGHEST_COST)
        .disable_suggestions()
}

/// The schema in the schema definition language, as `schema.graphql` has it.
#[must_use]
pub fn sdl() -> String {
    build().finish().sdl_with_options(SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items())
}
