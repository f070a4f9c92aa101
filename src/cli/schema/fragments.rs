//! The operations and fragments of a document, each with its place and the fragments that it spreads.

use std::collections::BTreeSet;

use bluejay_core::AsIter;
use bluejay_parser::HasSpan;
use bluejay_parser::ast::Parse;
use bluejay_parser::ast::executable::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};

/// An operation or a fragment.
#[derive(Clone, Debug)]
pub struct ExecutablePart {
    pub name: Option<String>,
    pub text: String,
    /// The line and the column where it begins, from 1.
    pub line: usize,
    pub column: usize,
    /// The names of the fragments that it spreads itself.
    pub spreads: BTreeSet<String>,
}

/// The pieces of a document.
#[derive(Clone, Debug, Default)]
pub struct ExecutableParts {
    pub operations: Vec<ExecutablePart>,
    pub fragments: Vec<ExecutablePart>,
}

impl ExecutableParts {
    /// Splits a document; `None` if it cannot be parsed.
    pub fn of(text: &str) -> Option<Self> {
        let document = ExecutableDocument::parse(text).result.ok()?;
        let operations = document.operation_definitions().iter().map(|operation| {
            let name = match operation {
                OperationDefinition::Explicit(explicit) => explicit.name().map(|name| name.as_str().to_owned()),
                OperationDefinition::Implicit(_) => None,
            };
            ExecutablePart::new(text, name, operation, operation.selection_set())
        });
        let fragments = document.fragment_definitions().iter().map(|fragment| {
            let name = Some(fragment.name().as_str().to_owned());
            ExecutablePart::new(text, name, fragment, fragment.selection_set())
        });
        Some(Self { operations: operations.collect(), fragments: fragments.collect() })
    }
}

impl ExecutablePart {
    fn new(text: &str, name: Option<String>, definition: &impl HasSpan, set: &SelectionSet) -> Self {
        let range = definition.span().byte_range();
        let before = text.get(..range.start).unwrap_or_default();
        let line_before = before.rsplit('\n').next().unwrap_or_default();
        let mut spreads = BTreeSet::new();
        collect_spreads(set, &mut spreads);
        Self {
            name,
            text: text.get(range).unwrap_or_default().to_owned(),
            line: before.matches('\n').count() + 1,
            column: line_before.chars().count() + 1,
            spreads,
        }
    }
}

fn collect_spreads(set: &SelectionSet, names: &mut BTreeSet<String>) {
    for selection in AsIter::iter(set) {
        match selection {
            Selection::Field(field) => {
                if let Some(set) = field.selection_set() {
                    collect_spreads(set, names);
                }
            }
            Selection::InlineFragment(inline) => collect_spreads(inline.selection_set(), names),
            Selection::FragmentSpread(spread) => {
                names.insert(spread.name().as_str().to_owned());
            }
        }
    }
}
