//! The fields of selection sets.

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};

/// Returns the fields of a selection set, with fragments expanded in place. The document must have been measured, because the
/// fields of fragments that spread one another multiply.
#[must_use]
pub fn fields<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet) -> Vec<&'a Field> {
    let mut found = Vec::with_capacity(set.items.len());
    collect(document, set, &mut found);
    found
}

fn collect<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, found: &mut Vec<&'a Field>) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => found.push(&field.node),
            Selection::InlineFragment(inline) => collect(document, &inline.node.selection_set.node, found),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    collect(document, &fragment.node.selection_set.node, found);
                }
            }
        }
    }
}
