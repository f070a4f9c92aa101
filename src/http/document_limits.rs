//! The limits on a document, checked before execution. async-graphql's own checks walk every fragment again at every spread, so a
//! document of a few hundred bytes keeps them busy for a minute. Here each fragment is measured once.

use std::{collections::HashMap, fmt};

use async_graphql::{
    Name, Positioned,
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition, OperationType,
        Selection, SelectionSet,
    },
};

pub const MAX_BYTES: usize = 32 * 1024;
/// Maximum nesting of brackets, including those of literals: the parser, and the drop of its result, recurse on them.
pub const MAX_BRACKETS: usize = 64;
/// Maximum number of fields, fragment spreads and inline fragments, each counted as often as it occurs with fragments expanded.
pub const MAX_FIELDS: usize = 2_000;
pub const MAX_DEPTH: usize = 15;
/// Maximum nesting of selection sets, including those of fragments; async-graphql rejects more as well.
pub const MAX_NESTING: usize = 32;
pub const MAX_ALIASES: usize = 30;
pub const MAX_ROOT_FIELDS: usize = 10;
pub const MAX_DIRECTIVES: usize = 50;
/// Maximum number of variables that one operation defines: validation compares each with all others.
pub const MAX_DEFINED_VARIABLES: usize = 250;
/// Maximum number of variables, each counted once for each operation: validation checks in each operation every variable that it
/// may reach.
pub const MAX_VARIABLES: usize = 50_000;
/// Maximum number of selections that validation visits; it walks every selection set by itself. A tree as wide and as deep as
/// allowed stays below the limit.
const MAX_VISITED: usize = 20 * MAX_FIELDS;

/// The limit that a document exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLarge {
    Bytes,
    Brackets,
    Fields,
    Depth,
    Nesting,
    Aliases,
    RootFields,
    Directives,
    DefinedVariables,
    Variables,
    FragmentCycle,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, what) = match self {
            Self::Bytes => (MAX_BYTES, "bytes"),
            Self::Brackets => (MAX_BRACKETS, "nested brackets"),
            Self::Fields => (MAX_FIELDS, "fields (with fragments expanded)"),
            Self::Depth => (MAX_DEPTH, "nested fields"),
            Self::Nesting => (MAX_NESTING, "nested selections and fragments"),
            Self::Aliases => (MAX_ALIASES, "aliases (with fragments expanded)"),
            Self::RootFields => (MAX_ROOT_FIELDS, "root fields"),
            Self::Directives => (MAX_DIRECTIVES, "directives (with fragments expanded)"),
            Self::DefinedVariables => (MAX_DEFINED_VARIABLES, "variables of one operation"),
            Self::Variables => (MAX_VARIABLES, "variables (each counted for every operation)"),
            Self::FragmentCycle => return f.write_str("A fragment of the document spreads itself"),
        };
        write!(f, "The document is too large: at most {limit} {what} are allowed")
    }
}

/// Checks the text before it is parsed, because the parser recurses on brackets.
///
/// # Errors
/// The limit that is exceeded.
pub fn check_text(text: &str) -> Result<(), TooLarge> {
    if text.len() > MAX_BYTES {
        return Err(TooLarge::Bytes);
    }
    let mut rest = text.as_bytes();
    let mut open = 0_usize;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match byte {
            b'#' => skip_line(tail),
            b'"' => skip_string(tail),
            _ => tail,
        };
        match byte {
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Err(TooLarge::Brackets);
        }
    }
    Ok(())
}

fn skip_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

/// Returns the text after a string, given the text after its opening quote. A block string without an end is not skipped, because
/// the parser then reads an empty string and continues inside.
pub fn skip_string(text: &[u8]) -> &[u8] {
    if let Some(mut block) = text.strip_prefix(b"\"\"") {
        while let Some((_, tail)) = block.split_first() {
            if let Some(after) = block.strip_prefix(b"\"\"\"") {
                return after;
            }
            block = block.strip_prefix(b"\\\"\"\"").unwrap_or(tail);
        }
        return text.get(1..).unwrap_or_default();
    }
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match byte {
            b'"' => return tail,
            b'\n' | b'\r' => return rest,
            b'\\' => tail.get(1..).unwrap_or_default(),
            _ => tail,
        };
    }
    rest
}

/// Measures all operations and fragments of a document, whichever would be executed.
///
/// # Errors
/// The limit that is exceeded.
pub fn measure(document: &ExecutableDocument) -> Result<(), TooLarge> {
    let mut measure = Measure { fragments: &document.fragments, fragment_sizes: HashMap::new(), visited: 0 };
    for (name, fragment) in &document.fragments {
        measure.fragment(name, fragment, 0)?.check()?;
    }
    let mut fields = 0_usize;
    for (_, operation) in document.operations.iter() {
        let size = measure.operation(&operation.node)?;
        size.check()?;
        if size.roots > MAX_ROOT_FIELDS {
            return Err(TooLarge::RootFields);
        }
        if operation.node.variable_definitions.len() > MAX_DEFINED_VARIABLES {
            return Err(TooLarge::DefinedVariables);
        }
        fields = fields.saturating_add(size.fields);
    }
    if fields > MAX_FIELDS || measure.visited > MAX_VISITED { Err(TooLarge::Fields) } else { Ok(()) }
}

/// Checks the number of variables that a document with this text may have.
///
/// # Errors
/// `Variables` if there are too many.
pub fn check_variables(text: &str, document: &ExecutableDocument) -> Result<(), TooLarge> {
    let (variables, operations) = (text.matches('$').count(), document.operations.iter().count());
    if variables.saturating_mul(operations) > MAX_VARIABLES { Err(TooLarge::Variables) } else { Ok(()) }
}

/// Returns the operation that would be executed, and its name; `None` if no operation has the name, or if the name is missing but
/// required.
#[must_use]
pub fn selected_operation<'a>(
    document: &'a ExecutableDocument,
    operation_name: Option<&str>,
) -> Option<(Option<&'a str>, &'a OperationDefinition)> {
    match (&document.operations, operation_name) {
        (DocumentOperations::Single(operation), None) => Some((None, &operation.node)),
        (DocumentOperations::Single(_), Some(_)) => None,
        (DocumentOperations::Multiple(operations), None) if operations.len() > 1 => None,
        (DocumentOperations::Multiple(operations), expected_name) => operations
            .iter()
            .find(|(name, _)| expected_name.is_none_or(|expected_name| name.as_str() == expected_name))
            .map(|(name, operation)| (Some(name.as_str()), &operation.node)),
    }
}

/// Returns the type of the operation that would be executed.
#[must_use]
pub fn operation_type(document: &ExecutableDocument, operation_name: Option<&str>) -> Option<OperationType> {
    selected_operation(document, operation_name).map(|(_, operation)| operation.ty)
}

/// The size of a selection set with fragments expanded.
#[derive(Clone, Copy, Default)]
struct Size {
    fields: usize,
    depth: usize,
    nesting: usize,
    aliases: usize,
    roots: usize,
    directives: usize,
}

impl Size {
    /// Adds the size of another selection on the same level.
    fn add(&mut self, other: Self) {
        self.fields = self.fields.saturating_add(other.fields);
        self.depth = self.depth.max(other.depth);
        self.nesting = self.nesting.max(other.nesting);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.roots = self.roots.saturating_add(other.roots);
        self.directives = self.directives.saturating_add(other.directives);
    }

    fn check(&self) -> Result<(), TooLarge> {
        let limits = [
            (self.fields, MAX_FIELDS, TooLarge::Fields),
            (self.depth, MAX_DEPTH, TooLarge::Depth),
            (self.nesting, MAX_NESTING, TooLarge::Nesting),
            (self.aliases, MAX_ALIASES, TooLarge::Aliases),
            (self.directives, MAX_DIRECTIVES, TooLarge::Directives),
        ];
        limits.into_iter().find(|(size, limit, _)| size > limit).map_or(Ok(()), |(_, _, rule)| Err(rule))
    }
}

struct Measure<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// The sizes of fragments. `None` while a fragment is being measured: meeting it again then is a cycle.
    fragment_sizes: HashMap<&'a str, Option<Size>>,
    visited: usize,
}

impl<'a> Measure<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<Size, TooLarge> {
        let mut size = self.set(&operation.selection_set.node, 0)?;
        let on_variables = operation.variable_definitions.iter().map(|variable| variable.node.directives.len());
        size.directives = size.directives.saturating_add(operation.directives.len() + on_variables.sum::<usize>());
        Ok(size)
    }

    fn fragment(
        &mut self,
        name: &'a str,
        fragment: &'a Positioned<FragmentDefinition>,
        level: usize,
    ) -> Result<Size, TooLarge> {
        match self.fragment_sizes.insert(name, None) {
            Some(None) => return Err(TooLarge::FragmentCycle),
            Some(Some(size)) => {
                self.fragment_sizes.insert(name, Some(size));
                return Ok(size);
            }
            None => {}
        }
        let mut size = self.set(&fragment.node.selection_set.node, level)?;
        size.directives = size.directives.saturating_add(fragment.node.directives.len());
        self.fragment_sizes.insert(name, Some(size));
        Ok(size)
    }

    fn set(&mut self, set: &'a SelectionSet, level: usize) -> Result<Size, TooLarge> {
        if level > MAX_NESTING {
            return Err(TooLarge::Nesting);
        }
        let mut total = Size::default();
        for selection in &set.items {
            total.add(self.selection(&selection.node, level + 1)?);
        }
        self.visited = self.visited.saturating_add(total.fields);
        Ok(total)
    }

    fn selection(&mut self, selection: &'a Selection, level: usize) -> Result<Size, TooLarge> {
        let mut size = match selection {
            Selection::Field(field) => {
                let inner = self.set(&field.node.selection_set.node, level)?;
                let alias = usize::from(field.node.alias.is_some());
                Size {
                    depth: inner.depth.saturating_add(1),
                    aliases: inner.aliases.saturating_add(alias),
                    roots: 1,
                    ..inner
                }
            }
            Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, level)?,
            Selection::FragmentSpread(spread) => {
                let fragments = self.fragments;
                match fragments.get_key_value(&spread.node.fragment_name.node) {
                    Some((name, fragment)) => self.fragment(name, fragment, level)?,
                    None => Size::default(), // validation reports the missing fragment
                }
            }
        };
        let directives: &[Positioned<Directive>] = selection.directives();
        size.directives = size.directives.saturating_add(directives.len());
        size.fields = size.fields.saturating_add(1);
        size.nesting = size.nesting.saturating_add(1);
        Ok(size)
    }
}

#[cfg(test)]
mod tests;
