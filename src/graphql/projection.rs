//! Projection: reads only the columns behind the fields that a request selects, so that a row costs as much as is returned of it.

mod value;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use sea_orm::sea_query::Expr;
use sea_orm::{DbErr, EntityTrait, IdenStatic, Iterable, ModelTrait, QueryResult, QuerySelect, Select};
use uuid::Uuid;

use self::value::ValueKind;
use crate::entity::{audit_event, group, institution, user};
use crate::scalar::Id;
use crate::text;

/// A table of which only some columns are read.
pub trait Projectable: EntityTrait {
    /// The columns that are read of every row: access rules and the order of lists need them.
    const REQUIRED_COLUMNS: &'static [Self::Column];

    /// The fields of the type that are not columns, each with the columns that it needs beside [`Self::REQUIRED_COLUMNS`].
    const COMPUTED_FIELDS: &'static [(&'static str, &'static [Self::Column])];

    /// Returns a row of which nothing has been read.
    fn placeholder() -> Self::Model;

    /// Returns the cached columns behind the fields of a document.
    fn cached(fields: &SelectedFields) -> &OnceLock<Columns<Self>>;
}

/// The ID in a row that has not been read.
const PLACEHOLDER_ID: Id = Id(Uuid::nil());

impl Projectable for user::Entity {
    const REQUIRED_COLUMNS: &'static [user::Column] =
        &[user::Column::Id, user::Column::LicenseId, user::Column::LastNameKey, user::Column::FirstNameKey];
    const COMPUTED_FIELDS: &'static [(&'static str, &'static [user::Column])] = &[
        ("fullName", &[user::Column::FirstName, user::Column::LastName]),
        ("avatarUrl", &[user::Column::Avatar]),
        ("institution", &[user::Column::InstitutionId]),
        ("license", &[]),
        ("groups", &[]),
        ("groupsOwned", &[]),
        ("memberships", &[]),
        ("attributes", &[]),
        ("sessions", &[]),
        ("devices", &[]),
        ("invitation", &[]),
        ("sites", &[user::Column::FullSiteAccess]),
        ("adminRights", &user::RIGHTS),
        ("viewerCan", &user::RANK_COLUMNS),
        // Fields of the edge between a search and a user.
        ("score", &[]),
        ("matchedFields", &[]),
    ];

    fn placeholder() -> user::Model {
        user::Model::empty(PLACEHOLDER_ID, PLACEHOLDER_ID)
    }

    fn cached(fields: &SelectedFields) -> &OnceLock<Columns<Self>> {
        &fields.users
    }
}

impl Projectable for group::Entity {
    const REQUIRED_COLUMNS: &'static [group::Column] =
        &[group::Column::Id, group::Column::LicenseId, group::Column::NameKey];
    const COMPUTED_FIELDS: &'static [(&'static str, &'static [group::Column])] = &[("members", &[])];

    fn placeholder() -> group::Model {
        group::Model::empty(PLACEHOLDER_ID, PLACEHOLDER_ID)
    }

    fn cached(fields: &SelectedFields) -> &OnceLock<Columns<Self>> {
        &fields.groups
    }
}

impl Projectable for institution::Entity {
    const REQUIRED_COLUMNS: &'static [institution::Column] =
        &[institution::Column::Id, institution::Column::LicenseId, institution::Column::NameKey];
    const COMPUTED_FIELDS: &'static [(&'static str, &'static [institution::Column])] =
        &[("displayName", &[institution::Column::Name, institution::Column::City]), ("license", &[]), ("users", &[])];

    fn placeholder() -> institution::Model {
        institution::Model::empty(PLACEHOLDER_ID, PLACEHOLDER_ID)
    }

    fn cached(fields: &SelectedFields) -> &OnceLock<Columns<Self>> {
        &fields.institutions
    }
}

impl Projectable for audit_event::Entity {
    const REQUIRED_COLUMNS: &'static [audit_event::Column] = &[
        audit_event::Column::Seq,
        audit_event::Column::Id,
        audit_event::Column::LicenseId,
        audit_event::Column::SubjectType,
        audit_event::Column::SubjectId,
    ];
    const COMPUTED_FIELDS: &'static [(&'static str, &'static [audit_event::Column])] =
        &[("actor", &[audit_event::Column::ActorId]), ("apiKey", &[audit_event::Column::ApiKeyId]), ("subject", &[])];

    fn placeholder() -> audit_event::Model {
        audit_event::Model::empty(PLACEHOLDER_ID)
    }

    fn cached(fields: &SelectedFields) -> &OnceLock<Columns<Self>> {
        &fields.events
    }
}

/// The names of the fields that a document selects, on any type.
#[derive(Default)]
pub struct SelectedFields {
    fields: HashSet<String>,
    users: OnceLock<Columns<user::Entity>>,
    groups: OnceLock<Columns<group::Entity>>,
    institutions: OnceLock<Columns<institution::Entity>>,
    events: OnceLock<Columns<audit_event::Entity>>,
}

impl SelectedFields {
    /// Collects the fields of all operations and fragments.
    #[must_use]
    pub fn in_document(document: &ExecutableDocument) -> Self {
        let mut selected = Self::default();
        for (_, operation) in document.operations.iter() {
            selected.add(&operation.node.selection_set);
        }
        for fragment in document.fragments.values() {
            selected.add(&fragment.node.selection_set);
        }
        selected
    }

    fn add(&mut self, set: &Positioned<SelectionSet>) {
        for selection in &set.node.items {
            match &selection.node {
                Selection::Field(field) => {
                    self.fields.insert(field.node.name.node.to_string());
                    self.add(&field.node.selection_set);
                }
                Selection::InlineFragment(fragment) => self.add(&fragment.node.selection_set),
                Selection::FragmentSpread(_) => {}
            }
        }
    }

    /// Returns whether a field with this name is selected, on any type.
    #[must_use]
    pub fn contains(&self, field: &str) -> bool {
        self.fields.contains(field)
    }

    /// Returns the columns of a table that are behind these fields.
    #[must_use]
    pub fn columns<E: Projectable>(&self) -> Columns<E> {
        E::cached(self).get_or_init(|| self.compute_columns()).clone()
    }

    fn compute_columns<E: Projectable>(&self) -> Columns<E> {
        let computed = E::COMPUTED_FIELDS
            .iter()
            .filter(|(field, _)| self.fields.contains(*field))
            .flat_map(|(_, columns)| *columns);
        let needed: HashSet<&str> = E::REQUIRED_COLUMNS.iter().chain(computed).map(IdenStatic::as_str).collect();
        let is_needed =
            |column: &E::Column| needed.contains(column.as_str()) || self.fields.contains(&field_of(column));
        Columns::new(E::Column::iter().filter(is_needed).map(|column| (column, ValueKind::of(&column))).collect())
    }
}

/// The columns of a table that are read, the ID first; cheap to clone.
pub struct Columns<E: Projectable>(Arc<ColumnList<E>>);

/// Columns, and how a statement selects them: composing that anew for each request would cost as much as many a statement.
struct ColumnList<E: Projectable> {
    columns: Vec<(E::Column, ValueKind)>,
    /// All columns as one expression.
    text: String,
    select: Select<E>,
}

impl<E: Projectable> Clone for Columns<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Projectable> Columns<E> {
    fn new(columns: Vec<(E::Column, ValueKind)>) -> Self {
        let table = E::default().table_name();
        let quoted = columns.iter().map(|(column, _)| format!(r#""{table}"."{}""#, column.as_str()));
        let text = quoted.collect::<Vec<_>>().join(", ");
        let select = E::find().select_only().expr(Expr::cust(text.clone()));
        Self(Arc::new(ColumnList { columns, text, select }))
    }

    /// Returns these columns and additional ones.
    #[must_use]
    pub fn with(&self, more: impl Iterator<Item = E::Column>) -> Self {
        let mut columns = self.0.columns.clone();
        for column in more {
            if !columns.iter().any(|(existing, _)| existing.as_str() == column.as_str()) {
                columns.push((column, ValueKind::of(&column)));
            }
        }
        if columns.len() == self.count() { self.clone() } else { Self::new(columns) }
    }

    /// Returns the number of columns.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.columns.len()
    }

    /// Returns the selection of these columns of all rows.
    #[must_use]
    pub fn select(&self) -> Select<E> {
        self.0.select.clone()
    }

    /// Narrows a selection to these columns, which come first in each row.
    #[must_use]
    pub fn narrow(&self, select: Select<E>) -> Select<E> {
        select.select_only().expr(Expr::cust(self.0.text.clone()))
    }

    /// Returns the row, with the values of `placeholder` for the columns that were not read.
    ///
    /// # Errors
    /// `Query` if a value does not have the type of its column.
    pub fn read(&self, row: &QueryResult, placeholder: &E::Model) -> Result<E::Model, DbErr> {
        let mut model = placeholder.clone();
        for (index, (column, kind)) in self.0.columns.iter().enumerate() {
            model.try_set(*column, kind.value(row, index)?)?;
        }
        Ok(model)
    }
}

/// Returns the name of a column's field in the schema.
fn field_of(column: &impl IdenStatic) -> String {
    text::camel(column.as_str())
}

/// Returns whether the columns behind a field of a table's type are known.
#[must_use]
pub fn is_accounted_for<E: Projectable>(field: &str) -> bool {
    E::Column::iter().any(|column| field_of(&column) == field)
        || E::COMPUTED_FIELDS.iter().any(|(name, _)| *name == field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unaccounted<E: Projectable>(type_name: &str) -> Vec<String> {
        let sdl = async_graphql::parser::parse_schema(crate::schema::sdl()).unwrap();
        let fields = sdl.definitions.iter().find_map(|definition| match definition {
            async_graphql::parser::types::TypeSystemDefinition::Type(definition)
                if definition.node.name.node == type_name =>
            {
                match &definition.node.kind {
                    async_graphql::parser::types::TypeKind::Object(object) => Some(object.fields.clone()),
                    _ => None,
                }
            }
            _ => None,
        });
        let names = fields.unwrap().into_iter().map(|field| field.node.name.node.to_string());
        names.filter(|field| !is_accounted_for::<E>(field)).collect()
    }

    #[test]
    fn each_field_names_its_columns() {
        assert_eq!(unaccounted::<user::Entity>("User"), [""; 0], "name them in COMPUTED_FIELDS");
        assert_eq!(unaccounted::<group::Entity>("Group"), [""; 0], "name them in COMPUTED_FIELDS");
        assert_eq!(unaccounted::<institution::Entity>("Institution"), [""; 0], "name them in COMPUTED_FIELDS");
        assert_eq!(unaccounted::<audit_event::Entity>("AuditEvent"), [""; 0], "name them in COMPUTED_FIELDS");
    }
}
