//! The cost of a document, computed before execution: the number of times that each field can occur in the response if every page
//! is full, and additional costs of lists, counts and searches. Work that depends on the amount of data, which no document tells,
//! is bounded by the [`budget`](crate::budget).

mod introspection;
mod lengths;
mod search;

use std::collections::HashMap;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet, Type, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{Value, Variables};

pub use self::introspection::Introspection;
use self::lengths::{Length, MAX_ITEMS, ROW, is_page, length, rows};
use crate::budget::{Limit, Size};
use crate::error::Error;
use crate::graphql::node::NODE_TYPES;
use crate::graphql::pagination::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};
use crate::http::selection;

/// Maximum cost of a document.
pub const MAX_COST: usize = 50_000;
/// The cost from which a request is expensive: a caller may have only a few of those under way.
pub const EXPENSIVE: usize = 10_000;

/// Cost of a statement that finds rows by an index.
const STATEMENT: usize = 20;
/// Cost of a statement that may scan all users: a count, a filter or a custom order.
const SCAN: usize = 1_000;
/// Cost of a change with its audit event.
const MUTATION: usize = 500;
/// Cost, for each parent, of a page or a count of the lists of many parents.
const PER_PARENT: usize = 5;
/// Cost of a page of changes, for which up to 1,000 events are read.
const CHANGES: usize = 1_000;
/// Cost of the export of everything about a user, for which up to 2,000 events are read.
const EXPORT: usize = 2_500;
/// Cost of a key that is resolved to a user.
const KEY: usize = 5;
/// Cost of a field in the result of an introspection query. The usual introspection of tools becomes expensive by that: nothing
/// else runs while a part of the schema is resolved.
const INTROSPECTION_FIELD: usize = 2;

/// The type of a field of an object or interface.
struct FieldType {
    type_name: String,
    is_list: bool,
}

/// Computes the costs of documents for one schema.
pub struct Costs {
    /// The types of the fields of each type.
    field_types: HashMap<String, HashMap<String, FieldType>>,
    introspection: Introspection,
}

impl Costs {
    /// Reads a schema in the schema definition language.
    ///
    /// # Errors
    /// `Internal` if the schema cannot be parsed, or has a list of unknown length; the message names all such lists.
    pub fn new(sdl: &str) -> Result<Self, Error> {
        let definitions = parse_schema(sdl).map_err(Error::internal)?.definitions;
        let mut field_types: HashMap<String, HashMap<String, FieldType>> = HashMap::new();
        for definition in definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let fields = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => interface.fields,
                _ => continue,
            };
            let fields =
                fields.into_iter().map(|field| (field.node.name.node.to_string(), field_type(&field.node.ty.node)));
            field_types.insert(definition.node.name.node.to_string(), fields.collect());
        }
        let is_composite = |ty: &FieldType| field_types.contains_key(&ty.type_name);
        let fields = field_types.iter().flat_map(|(of, fields)| fields.iter().map(move |(name, ty)| (of, name, ty)));
        let unknown = fields.filter(|(_, _, ty)| ty.is_list && is_composite(ty));
        let unknown: Vec<String> = unknown
            .filter(|(of, field, _)| length(of, field).is_none())
            .map(|(of, field, _)| format!("{of}.{field}"))
            .collect();
        if !unknown.is_empty() {
            return Err(Error::internal(format!("no maximum length is defined for the lists {}", unknown.join(", "))));
        }
        let introspection = Introspection::new(sdl).map_err(Error::internal)?;
        Ok(Self { field_types, introspection })
    }

    /// Returns the size of the introspection in a document: that of its operation with the most.
    ///
    /// # Errors
    /// `DocumentTooLarge` if the lists are nested too deeply, or the response would be too large.
    pub fn introspection(&self, document: &ExecutableDocument) -> Result<Size, Error> {
        let mut largest = Size::default();
        for (_, operation) in document.operations.iter() {
            let mut size = Size::default();
            self.introspect(document, &operation.node.selection_set.node, &mut size)?;
            largest = Size { fields: largest.fields.max(size.fields), bytes: largest.bytes.max(size.bytes) };
        }
        Ok(largest)
    }

    fn introspect(&self, document: &ExecutableDocument, set: &SelectionSet, total: &mut Size) -> Result<(), Error> {
        let fields = selection::fields(document, set).into_iter();
        for field in fields.filter(|field| matches!(field.name.node.as_str(), "__schema" | "__type")) {
            let size = self.introspection.size(document, field).ok_or_else(|| {
                let max = introspection::MAX_LISTS;
                too_large(&format!("at most {max} nested lists of fields, interfaces, possibleTypes and inputFields"))
            })?;
            total.fields = total.fields.saturating_add(size.fields);
            total.bytes = total.bytes.saturating_add(size.bytes);
            if total.fields > MAX_COST || total.bytes > Limit::Bytes.maximum() {
                return Err(too_large(&format!("at most {MAX_COST} introspection fields")));
            }
        }
        Ok(())
    }

    /// Returns the cost of an operation with its variables, not counting introspection.
    #[must_use]
    pub fn cost(&self, document: &ExecutableDocument, operation: &OperationDefinition, variables: &Variables) -> usize {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut walk = Walk { costs: self, document, operation, variables, total: 0 };
        walk.set(&operation.selection_set.node, root, 1, 1);
        walk.total
    }
}

/// Returns the error for a document that is too large.
fn too_large(rule: &str) -> Error {
    Error::DocumentTooLarge(format!("The document is too large: {rule} are allowed."))
}

/// Returns the cost of an introspection whose result has this size.
#[must_use]
pub const fn of_introspection(size: Size) -> usize {
    size.fields.saturating_mul(INTROSPECTION_FIELD)
}

/// Checks that a cost is within the limit.
///
/// # Errors
/// `DocumentTooLarge` if not; the message names the cost and the limit.
pub fn check(cost: usize) -> Result<(), Error> {
    if cost <= MAX_COST {
        return Ok(());
    }
    let rule =
        "each field times its maximum number of occurrences in the response, and more for counts, filters and searches";
    Err(Error::DocumentTooLarge(format!(
        "The document is too large: its cost is {cost} ({rule}), and at most {MAX_COST} is allowed; request smaller pages."
    )))
}

/// Checks that the cost of a subscription, which is that of one event, is within the limit.
///
/// # Errors
/// `DocumentTooLarge` if not; the message names the cost and the limit.
pub fn check_event(cost: usize) -> Result<(), Error> {
    if cost < EXPENSIVE {
        return Ok(());
    }
    Err(Error::DocumentTooLarge(format!(
        "The subscription is too large: the cost of one event is {cost}, and it must be less than {EXPENSIVE}; select less, and \
         query the rest."
    )))
}

fn field_type(of: &Type) -> FieldType {
    match &of.base {
        BaseType::Named(name) => FieldType { type_name: name.to_string(), is_list: false },
        BaseType::List(inner) => FieldType { is_list: true, ..field_type(inner) },
    }
}

/// The computation of the cost of one operation.
struct Walk<'a> {
    costs: &'a Costs,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    total: usize,
}

impl<'a> Walk<'a> {
    /// Adds a selection on a type that occurs `times` times; `page` is the size of the page that it belongs to.
    fn set(&mut self, set: &'a SelectionSet, of: &'a str, times: usize, page: usize) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(&field.node, of, times, page),
                Selection::InlineFragment(inline) => {
                    let on = inline.node.type_condition.as_ref().map_or(of, |on| on.node.on.node.as_str());
                    self.set(&inline.node.selection_set.node, on, times, page);
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        let on = fragment.node.type_condition.node.on.node.as_str();
                        self.set(&fragment.node.selection_set.node, on, times, page);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: &'a Field, of: &'a str, times: usize, page: usize) {
        let name = field.name.node.as_str();
        self.add(times);
        let costs = self.costs;
        let Some(ty) = costs.field_types.get(of).and_then(|fields| fields.get(name)) else { return };
        let is_connection = ty.type_name.ends_with("Connection");
        self.add_work(field, of, times, is_connection, !field.selection_set.node.items.is_empty());
        let (times, page) = match length(of, name) {
            Some(Length::OfPage) => (times.saturating_mul(page), page),
            Some(Length::Fixed(length)) => (times.saturating_mul(length), page),
            Some(Length::OfArgument(argument)) => (times.saturating_mul(self.items(field, argument)), page),
            None if is_page(&ty.type_name) => (times, self.page(field)),
            None if (of, name) == ("Mutation", "importUsers") => (times, rows(self.argument(field, "input").as_ref())),
            None => (times, page),
        };
        self.set(&field.selection_set.node, &ty.type_name, times, page);
    }

    /// Adds the cost of a field beyond the fields in the response.
    fn add_work(&mut self, field: &Field, of: &str, times: usize, is_connection: bool, is_composite: bool) {
        let name = field.name.node.as_str();
        let has = |argument: &str| !matches!(self.argument(field, argument), None | Some(Value::Null));
        let of_parents = times.saturating_mul(PER_PARENT);
        let cost = match (of, name) {
            ("Query", "searchUsers") => self.search(field) + if has("filter") { SCAN } else { 0 },
            ("Query", _) if ["filter", "orderBy", "nameContains"].into_iter().any(has) => SCAN,
            ("Query", "node" | "nodes") => NODE_TYPES * STATEMENT,
            ("Query", "resolveUsers") => STATEMENT + self.items(field, "keys").saturating_mul(KEY),
            ("Query", "changes") => CHANGES,
            ("Query", _) | ("UserConnection", "position") => STATEMENT,
            ("Mutation", "importUsers") => MUTATION + rows(self.argument(field, "input").as_ref()).saturating_mul(ROW),
            ("Mutation", "exportUser") => EXPORT,
            ("Mutation", _) => MUTATION,
            (_, "totalCount" | "totalCountIsExact") => SCAN.saturating_add(of_parents),
            // A position in a list is looked up among all rows of the list.
            _ if is_connection && (has("after") || has("before")) => SCAN.saturating_add(of_parents),
            _ if is_connection => STATEMENT.saturating_add(of_parents),
            _ if is_composite && !of.ends_with("Connection") && !of.ends_with("Payload") => STATEMENT,
            _ => 0,
        };
        self.add(cost);
    }

    fn search(&self, field: &Field) -> usize {
        let Some(Value::String(text)) = self.argument(field, "query") else { return search::cost("") };
        search::cost(&text)
    }

    fn add(&mut self, cost: usize) {
        self.total = self.total.saturating_add(cost);
    }

    /// Returns the value of an argument, with variables and their defaults filled in.
    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let value = field.get_argument(name)?.node.clone();
        let variable = |name: async_graphql::Name| {
            let definitions = self.operation.variable_definitions.iter();
            let default = || {
                let definition = definitions.into_iter().find(|definition| definition.node.name.node == name)?;
                definition.node.default_value.as_ref().map(|value| value.node.clone())
            };
            Ok::<_, std::convert::Infallible>(self.variables.get(&name).cloned().or_else(default).unwrap_or_default())
        };
        value.into_const_with(variable).ok()
    }

    /// Returns the number of rows on a page.
    fn page(&self, field: &Field) -> usize {
        let requested = ["first", "last"].into_iter().find_map(|name| match self.argument(field, name)? {
            Value::Number(number) => number.as_u64(),
            _ => None,
        });
        usize::try_from(requested.unwrap_or(DEFAULT_PAGE_SIZE).clamp(1, MAX_PAGE_SIZE)).unwrap_or(usize::MAX)
    }

    /// Returns the number of items of an argument; a single value counts as a list of one item.
    fn items(&self, field: &Field, argument: &str) -> usize {
        match self.argument(field, argument) {
            Some(Value::List(items)) => items.len().min(MAX_ITEMS),
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests;
