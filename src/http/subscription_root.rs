//! The root of a subscription: exactly one field, within fragments or not (5.2.4.1 of the GraphQL specification).

use async_graphql::Positioned;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection,
};

use super::error::HttpError;
use super::selection;
use crate::error::TopLevelCode;

/// Checks the root of every subscription of a document that has been measured.
///
/// # Errors
/// 400 for a subscription that does not select exactly one field, or selects a field of introspection.
pub fn check(document: &ExecutableDocument) -> Result<(), HttpError> {
    let operations = document.operations.iter().map(|(_, operation)| operation);
    let errors = operations.filter_map(|operation| {
        let message = fault_of(document, &operation.node)?;
        let error = HttpError::bad_document(TopLevelCode::GraphqlValidationFailed, message);
        Some(HttpError { locations: vec![operation.pos], ..error })
    });
    HttpError::of_all(errors).map_or(Ok(()), Err)
}

fn fault_of(document: &ExecutableDocument, operation: &OperationDefinition) -> Option<&'static str> {
    if operation.ty != OperationType::Subscription {
        return None;
    }
    match selection::fields(document, &operation.selection_set.node).as_slice() {
        [field] if field.name.node.starts_with("__") => Some("A subscription must not select a field of introspection"),
        [_] => None,
        _ => Some("A subscription must select exactly one field"),
    }
}

/// Takes the field of a subscription out of the fragments around it, whose directives move to the field: async-graphql looks for
/// it outside of fragments only. The document must have been checked.
pub fn unwrap_fragments(document: &mut ExecutableDocument, operation_name: Option<&str>) {
    let operation = match (&mut document.operations, operation_name) {
        (DocumentOperations::Single(operation), _) => operation,
        (DocumentOperations::Multiple(operations), name) => {
            let mut operations = operations.iter_mut();
            let found = operations.find(|(known, _)| name.is_none_or(|name| known.as_str() == name));
            let Some((_, operation)) = found else { return };
            operation
        }
    };
    let set = &mut operation.node.selection_set.node;
    while let [selection] = set.items.as_slice() {
        let (directives, inner) = match &selection.node {
            Selection::Field(_) => return,
            Selection::InlineFragment(inline) => (&inline.node.directives, &inline.node.selection_set.node),
            Selection::FragmentSpread(spread) => match document.fragments.get(&spread.node.fragment_name.node) {
                Some(fragment) => (&spread.node.directives, &fragment.node.selection_set.node),
                None => return,
            },
        };
        let directives = directives.clone();
        let mut items = inner.items.clone();
        for item in &mut items {
            directives_of(&mut item.node).extend(directives.iter().cloned());
        }
        set.items = items;
    }
}

fn directives_of(selection: &mut Selection) -> &mut Vec<Positioned<Directive>> {
    match selection {
        Selection::Field(field) => &mut field.node.directives,
        Selection::FragmentSpread(spread) => &mut spread.node.directives,
        Selection::InlineFragment(inline) => &mut inline.node.directives,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn a_subscription_selects_one_field() {
        for (text, is_valid) in [
            ("subscription { a }", true),
            ("subscription { a { b c } }", true),
            ("subscription { ...A } fragment A on S { ... { a } }", true),
            ("{ a b __typename }", true),
            ("subscription { a b }", false),
            ("subscription { __typename }", false),
            ("subscription { ...A } fragment A on S { ...B } fragment B on S { a b }", false),
            ("query A { a } subscription B { a b }", false),
        ] {
            assert_eq!(check(&parse_query(text).unwrap()).is_ok(), is_valid, "{text}");
        }
    }

    #[test]
    fn the_field_is_taken_out_of_its_fragments() {
        let text = "subscription A { ...F @skip(if: true) } subscription B { a } fragment F on S { ... { b @include(if: true) } }";
        let mut document = parse_query(text).unwrap();
        for (name, field, directives) in [("A", "b", 2), ("B", "a", 0)] {
            unwrap_fragments(&mut document, Some(name));
            let DocumentOperations::Multiple(operations) = &document.operations else { panic!("one operation") };
            let items = &operations.get(name).unwrap().node.selection_set.node.items;
            let [Positioned { node: Selection::Field(found), .. }] = items.as_slice() else { panic!("{items:?}") };
            assert_eq!((found.node.name.node.as_str(), found.node.directives.len()), (field, directives));
        }
    }
}
