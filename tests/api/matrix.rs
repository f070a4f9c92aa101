//! Every action by every kind of viewer on every kind of target, field by field, compared with an oracle: a second
//! implementation of the rules. Also invariants that hold after any sequence of writes.

mod cell;
mod filters;
mod follow;
mod oracle;
mod reads;
mod seat;
mod sequences;
mod table;
mod writes;

use std::collections::BTreeSet;
use std::time::Instant;

use async_graphql::MaybeUndefined::{Undefined, Value as Given};
use futures_util::{StreamExt, stream};
use roster::access::{Action, ROOT_FIELDS, action_of};
use roster::entity::user::{self, Privacy, UserFields};
use sea_orm::Iterable;
use serde_json::json;

use self::cell::{Cell, Summary, run};
use self::oracle::{DONE, RIGHTS, UNAUTHENTICATED};
use self::seat::{ViewerCase, World, rejected_callers, viewer_cases, world};
use crate::app::{App, PASSWORD};
use crate::definition::{Definition, innermost};
use crate::user_fields::is_private;

impl ViewerCase<'_> {
    async fn read(&mut self, world: &World) {
        let mut cells = self.reads(world);
        cells.extend(self.filters());
        run(&self.caller, false, cells, &mut self.summary).await;
        self.follow(world).await;
    }

    /// Runs everything that can be tried as a dry run.
    async fn try_out(&mut self, fields: &[String]) {
        let mut cells = self.changes(fields);
        cells.extend(self.creations());
        cells.extend(self.imported_relations());
        run(&self.caller, true, cells, &mut self.summary).await;
    }

    async fn write(&mut self, world: &World) {
        let mut cells = self.invitations();
        cells.extend(self.joinings(world));
        cells.extend(self.places());
        cells.extend(self.definitions());
        cells.extend(self.renamings(world));
        cells.extend(self.keys());
        cells.extend(self.switchings());
        cells.extend(self.account());
        run(&self.caller, true, cells, &mut self.summary).await;
        self.check_viewer_can();
    }

    /// Compares `viewerCan` with the outcomes of the mutations.
    fn check_viewer_can(&mut self) {
        for known in &self.known {
            let Some(can) = self.summary.can.remove(&known.id) else { continue };
            for (action, field) in [("update", "update"), ("setActive", "setActive"), ("delete", "delete")] {
                let outcome = self.summary.outcomes.get(&(known.id, action)).map(String::as_str);
                let what = format!("{} -> {}: viewerCan.{field} and {outcome:?}", self.name, known.label);
                self.summary.expect(|| what, &json!(outcome == Some(DONE)), &can[field]);
            }
        }
    }
}

/// Checks that callers with an invalid token are unauthenticated for every root field but public mutations, and which of them can
/// sign in. No subscription opens for them.
async fn check_rejected_callers(app: &App, summary: &mut Summary) {
    let target = app.user().await;
    let operations = Definition::of_roster().operations(1, &|_, _| Some(target.id()));
    let nobodies = rejected_callers(app).await;
    for (name, caller) in &nobodies {
        for operation in &operations {
            let (status, response) =
                caller.post(&json!({ "query": operation.query, "variables": operation.variables })).await;
            if action_of(&operation.field).is_ok_and(|action| action == Action::SignIn) {
                summary.expect(|| format!("{name}: {}", operation.field), &json!(200), &json!(status));
                continue;
            }
            summary.expect(|| format!("{name}: {}", operation.field), &json!(401), &json!(status));
            let code = &response["errors"][0]["extensions"]["code"];
            summary.expect(|| format!("{name}: {}", operation.field), &json!(UNAUTHENTICATED), code);
        }
        for query in follow::SUBSCRIPTIONS {
            let status = caller.open_stream(query, json!({}), None).await.response.status().as_u16();
            summary.expect(|| format!("{name}: {query}"), &json!(401), &json!(status));
        }
    }
    let never = UserFields { username: Given("never".to_owned()), ..UserFields::default() };
    app.create("Never", app.license, never, Undefined).await;
    for (login, password, expected) in [
        ("never", PASSWORD, "INVALID_CREDENTIALS"),
        ("v101", PASSWORD, "INACTIVE"),
        ("v104", PASSWORD, "INACTIVE"),
        ("v101", "wrong-velvet-comets-hum", "INVALID_CREDENTIALS"),
        ("v105", PASSWORD, "INACTIVE"),
        ("v108", PASSWORD, "INACTIVE"),
        ("v105", "wrong-velvet-comets-hum", "INVALID_CREDENTIALS"),
        ("v200", PASSWORD, DONE),
        ("v201", PASSWORD, "INVALID_CREDENTIALS"),
    ] {
        let input = format!("login: \"{login}\", password: \"{password}\"");
        run(&app.anonymous(), true, vec![Cell::change("login", &input, login, expected)], summary).await;
    }
}

/// The names of a type's fields according to the introspection of the server.
async fn fields_of(app: &App, of: &str, kind: &str) -> Vec<String> {
    let query = format!("{{ __type(name: \"{of}\") {{ {kind} {{ name }} }} }}");
    let response = app.anonymous().data(&query, json!({})).await;
    let fields = response["__type"][kind].as_array().unwrap_or_else(|| panic!("type {of} has no {kind}")).clone();
    fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
}

/// Checks that the matrix covers everything that the server offers.
async fn check_completeness(app: &App, fields: &BTreeSet<&'static str>) {
    let mut served = fields_of(app, "Query", "fields").await;
    served.extend(fields_of(app, "Mutation", "fields").await);
    served.extend(fields_of(app, "Subscription", "fields").await);
    for field in served.iter().map(String::as_str).chain(ROOT_FIELDS.iter().map(|(field, _)| *field)) {
        assert!(fields.contains(field), "the root field {field} has no case in the matrix");
    }
    for field in fields {
        assert!(served.iter().any(|served| served == field), "the matrix asks for {field}, which is not served");
    }
    for (of, known) in [
        ("UserBy", &["id", "username", "email", "externalId", "externalReference"][..]),
        ("AdminRightsInput", &RIGHTS[..]),
        ("SetActiveInput", &["id", "active", "reason"][..]),
    ] {
        for field in fields_of(app, of, "inputFields").await {
            assert!(known.contains(&field.as_str()), "{field} of {of} has no case in the matrix");
        }
    }
    let definition = Definition::of_roster();
    let known = ["includeInactive", "filter", "orderBy", "query", "keys", "source", "first", "after", "last", "before"];
    for field in definition.fields("Query").into_iter().filter(|field| innermost(&field.ty.node).contains("User")) {
        for argument in &field.arguments {
            let name = argument.node.name.node.as_str();
            let is_known = known.contains(&name) || field.name.node == "user";
            assert!(is_known, "{}({name}:) finds users, and has no case in the matrix", field.name.node);
        }
    }
    for column in user::Column::iter() {
        let field = column.field();
        match column.privacy() {
            Privacy::Private => assert!(is_private(&field), "{field} should be private in the table of fields"),
            Privacy::Right => {
                let is_known = RIGHTS.iter().any(|right| field == format!("adminRights.{right}"));
                assert!(is_known, "{field} is a right and has no case in the matrix");
            }
            Privacy::Open | Privacy::Internal => {
                assert!(!is_private(&field), "{field} should not be private in the table of fields");
            }
        }
    }
}

on_every_database! {
    async fn every_viewer_can_do_to_every_target_only_what_the_rules_allow(app: App) {
        let began = Instant::now();
        let mut viewer_cases = viewer_cases(&app).await;
        let mut summary = Summary::default();
        check_rejected_callers(&app, &mut summary).await;
        let world = world(&app, &viewer_cases).await;
        let mut fields = fields_of(&app, "UpdateUserInput", "inputFields").await;
        fields.retain(|field| !["id", "expectedVersion", "dryRun"].contains(&field.as_str()));
        let prepared = began.elapsed();
        stream::iter(&mut viewer_cases).for_each_concurrent(4, |viewer_case| viewer_case.read(&world)).await;
        let read = began.elapsed();
        stream::iter(&mut viewer_cases).for_each_concurrent(4, |viewer_case| viewer_case.try_out(&fields)).await;
        let tried = began.elapsed();
        stream::iter(&mut viewer_cases).for_each_concurrent(4, |viewer_case| viewer_case.write(&world)).await;
        for viewer_case in viewer_cases {
            summary.add(viewer_case.summary);
        }
        check_completeness(&app, &summary.fields).await;
        let database = if app.db.is_postgres() { "PostgreSQL" } else { "SQLite" };
        println!(
            "the matrix on {database}: {} cells, {} wrong; prepared after {prepared:.1?}, read after {read:.1?}, \
             tried out after {tried:.1?}, written after {:.1?}",
            summary.cells, summary.wrong.len(), began.elapsed(),
        );
        // Samples from all parts of the matrix tell more than the first failures.
        let some: Vec<&String> = summary.wrong.iter().step_by(summary.wrong.len().div_ceil(60).max(1)).collect();
        assert!(some.is_empty(), "{} of {} cells are wrong, such as {some:#?}", summary.wrong.len(), summary.cells);
        assert!(summary.cells >= 5_000, "only {} cells ran", summary.cells);
    }
}
