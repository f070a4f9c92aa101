//! A table of the users, with the columns that an import reads.

use std::io::Write;

use sea_orm::IdenStatic;
use serde_json::{Map, Value};

use super::snapshot::Snapshot;
use crate::entity::external_reference::{ID_SEPARATOR, LIST_SEPARATOR};
use crate::entity::user::{Column, RIGHTS};
use crate::error::Error;
use crate::export::{ExportedUser, columns_of_user, of_user};
use crate::text;

/// Writes the users of a license.
pub(in crate::cli) async fn write_table(
    snapshot: &Snapshot,
    output: &mut impl Write,
    with_secrets: bool,
) -> Result<(), Error> {
    let mut table = csv::Writer::from_writer(output);
    let columns = columns(snapshot, with_secrets);
    table.write_record(&columns).map_err(Error::internal)?;
    let write = |user: &ExportedUser| {
        let object = of_user(user, &snapshot.definitions, None);
        table.write_record(columns.iter().map(|column| cell(&object, column))).map_err(Error::internal)
    };
    snapshot.for_each_user(write).await?;
    table.flush().map_err(Error::internal)
}

fn columns(snapshot: &Snapshot, with_secrets: bool) -> Vec<String> {
    let name = |column: Column| match column {
        Column::InstitutionId => "institution".to_owned(),
        column => text::camel(column.as_str()),
    };
    let own = columns_of_user().map(name);
    let rights = RIGHTS.into_iter().map(Column::field);
    let lists = ["groups", "sites"].map(str::to_owned);
    let attributes = snapshot.definitions.values().map(|definition| format!("attributes.{}", definition.name));
    let secrets = ["passwordHash", "pinHash"].map(str::to_owned).into_iter().filter(|_| with_secrets);
    own.chain(rights).chain(lists).chain(attributes).chain(secrets).collect()
}

/// Returns the value of a column. The items of a list are separated by semicolons; if one contains a semicolon, the list is JSON.
fn cell(object: &Map<String, Value>, column: &str) -> String {
    let value = column
        .split_once('.')
        .map_or_else(|| object.get(column), |(outer, inner)| object.get(outer).and_then(|outer| outer.get(inner)));
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(list @ Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(item).collect();
            if items.iter().any(|item| item.contains(LIST_SEPARATOR)) {
                list.to_string()
            } else {
                items.join(&LIST_SEPARATOR.to_string())
            }
        }
        Some(value) => value.to_string(),
    }
}

/// Returns an item of a list: a group with the role in it, a reference after its source, or a site.
fn item(item: &Value) -> String {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    if let (Some(group), Some(role)) = (text("group"), text("role")) {
        return format!("{group}={role}");
    }
    match (text("source"), text("id")) {
        (Some(source), Some(id)) => format!("{source}{ID_SEPARATOR}{id}"),
        _ => text("site").unwrap_or_default().to_owned(),
    }
}
