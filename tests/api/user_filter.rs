//! Every field of `UserFilter` narrows the list of users, as the schema names it: no field is accepted and ignored.

use async_graphql::parser::types::TypeKind;
use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::definition::{Definition, innermost};

/// The fields of `UserFilter` with the names of their types, without those that hold other filters.
fn fields() -> Vec<(String, String)> {
    let definition = Definition::of_roster();
    let TypeKind::InputObject(filter) = &definition.0["UserFilter"].kind else { panic!("not an input object") };
    let fields =
        filter.fields.iter().map(|field| (field.node.name.node.to_string(), innermost(&field.node.ty.node).to_owned()));
    fields.filter(|(_, kind)| kind != "UserFilter").collect()
}

/// Filters of a field that no user can match all of.
fn contradictory(kind: &str) -> Vec<Value> {
    match kind {
        "StringFilter" => vec![json!({ "eq": "nothing has this value" })],
        "IDFilter" => vec![json!({ "eq": "00000000-0000-7000-8000-000000000000" })],
        "DateFilter" => vec![json!({ "gt": "9999-01-01" })],
        "DateTimeFilter" => vec![json!({ "gt": "9998-01-01T00:00:00Z" })],
        "Boolean" => vec![json!(true), json!(false)],
        "AttributeFilter" => vec![json!({ "name": "badge", "value": "nothing has this value" })],
        _ => vec![json!([])],
    }
}

async fn count(caller: &Caller<'_>, filter: Value) -> u64 {
    let query = "query ($filter: UserFilter) { users(filter: $filter) { totalCount } }";
    caller.data(query, json!({ "filter": filter })).await["users"]["totalCount"].as_u64().unwrap()
}

on_every_database! {
    async fn every_field_of_the_filter_narrows_the_list(app: App) {
        let administrator = app.license_admin().await;
        app.user().await;
        administrator.mutate("defineAttribute", "", json!({ "name": "badge", "label": "Badge", "kind": "STRING" })).await;
        let fields = fields();
        assert!(fields.len() > 25, "{fields:?}");
        for (field, kind) in fields {
            let all: Vec<Value> = contradictory(&kind).into_iter().map(|value| json!({ field.as_str(): value })).collect();
            assert_eq!(count(&administrator, json!({ "and": all })).await, 0, "{field} is ignored");
        }
    }
}
