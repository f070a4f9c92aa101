//! Every field of `UserFilter` narrows the list of users, as the schema names it: no field is accepted and ignored.

use std::sync::LazyLock;

use async_graphql::parser::types::BaseType;
use roster::entity::user::{Column, RIGHTS};
use serde_json::{Value, json};

use crate::app::{App, Caller};
use crate::definition::{SCHEMA, innermost};

/// A field of `UserFilter`.
pub struct FilterField {
    pub name: &'static str,
    /// The name of the type of the comparison or, of a list, of its items.
    pub kind: &'static str,
    pub is_list: bool,
}

/// The fields of `UserFilter`.
pub static FILTERS: LazyLock<Vec<FilterField>> = LazyLock::new(|| {
    let fields = SCHEMA.input_fields("UserFilter").into_iter().map(|field| FilterField {
        name: field.name.node.as_str(),
        kind: innermost(&field.ty.node),
        is_list: matches!(field.ty.node.base, BaseType::List(_)),
    });
    fields.collect()
});

/// The fields of `UserFilter` that compare a column of the user, by the type of the comparison.
pub struct ColumnFilters {
    pub texts: Vec<&'static str>,
    pub dates: Vec<&'static str>,
    pub instants: Vec<&'static str>,
    pub flags: Vec<&'static str>,
    pub choices: Vec<Choice>,
}

/// A field of `UserFilter` that is a list of the values of an enum.
pub struct Choice {
    pub name: &'static str,
    pub values: Vec<&'static str>,
}

/// The fields of `UserFilter` by the type of the comparison.
pub static COLUMN_FILTERS: LazyLock<ColumnFilters> = LazyLock::new(|| {
    let of_kind = |kind: &str| {
        let fields = FILTERS.iter().filter(|field| field.kind == kind && Column::of_field(field.name).is_some());
        fields.map(|field| field.name).collect::<Vec<_>>()
    };
    let lists = FILTERS.iter().filter(|field| field.is_list && Column::of_field(field.name).is_some());
    let choices = lists.map(|field| Choice { name: field.name, values: SCHEMA.enum_values(field.kind) });
    ColumnFilters {
        texts: of_kind("StringFilter"),
        dates: of_kind("DateFilter"),
        instants: of_kind("DateTimeFilter"),
        flags: of_kind("Boolean"),
        choices: choices.collect(),
    }
});

/// The fields of `AdminRightsFilter`.
pub static RIGHT_FILTERS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    SCHEMA.input_fields("AdminRightsFilter").into_iter().map(|field| field.name.node.as_str()).collect()
});

/// The values of `UserOrderField`.
pub static ORDERS: LazyLock<Vec<&'static str>> = LazyLock::new(|| SCHEMA.enum_values("UserOrderField"));

/// The field of `User` by which a value of `UserOrderField` sorts.
pub fn sorted_field(order: &str) -> String {
    roster::text::camel(&order.to_lowercase())
}

/// Filters of a field that no user can match all of.
fn contradictory(kind: &str) -> Vec<Value> {
    match kind {
        "StringFilter" => vec![json!({ "eq": "nothing has this value" })],
        "IDFilter" => vec![json!({ "eq": "00000000-0000-7000-8000-000000000000" })],
        "DateFilter" => vec![json!({ "gt": "9999-01-01" })],
        "DateTimeFilter" => vec![json!({ "gt": "9998-01-01T00:00:00Z" })],
        "Boolean" => vec![json!(true), json!(false)],
        "AdminRightsFilter" => vec![json!({ "isAdmin": true }), json!({ "isAdmin": false })],
        "ExternalReferenceFilter" => vec![json!({ "source": "nowhere" }), json!({ "source": "hr", "id": "nobody" })],
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
        assert!(FILTERS.len() > 28, "{}", FILTERS.len());
        // The others hold other filters.
        for FilterField { name, kind, .. } in FILTERS.iter().filter(|field| field.kind != "UserFilter") {
            let all: Vec<Value> = contradictory(kind).into_iter().map(|value| json!({ *name: value })).collect();
            assert_eq!(count(&administrator, json!({ "and": all })).await, 0, "{name} is ignored");
        }
        assert_eq!(RIGHT_FILTERS.len(), RIGHTS.len());
        for right in RIGHT_FILTERS.iter() {
            let all = [true, false].map(|has| json!({ "adminRights": { *right: has } }));
            assert_eq!(count(&administrator, json!({ "and": all })).await, 0, "{right} is ignored");
        }
    }
}
