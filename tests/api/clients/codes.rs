//! The error codes in the sources of the clients are those of the server.

use std::collections::BTreeSet;

use roster::error::TopLevelCode;

use crate::definition::Definition;

const RUST: &str = include_str!("../../../clients/rust/src/changes.rs");
const RUST_OPERATIONS: &str = include_str!("../../../clients/rust/src/operations.rs");
const TYPESCRIPT: &str = include_str!("../../../clients/typescript/src/subscription.ts");
const TYPESCRIPT_SOCKETS: &str = include_str!("../../../clients/typescript/src/socket.ts");

/// The part of a source between two texts.
fn between<'a>(source: &'a str, start: &str, end: &str) -> &'a str {
    let part = source.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    part.unwrap_or_else(|| panic!("nothing is between {start:?} and {end:?}")).0
}

/// The texts in quotation marks.
fn quoted(source: &str, mark: char) -> BTreeSet<&str> {
    source.split(mark).skip(1).step_by(2).collect()
}

/// A code as the server sends it, from the name of its variant.
fn screaming(variant: &str) -> String {
    let letters = variant.char_indices().flat_map(|(place, letter)| {
        let separator = (place > 0 && letter.is_ascii_uppercase()).then_some('_');
        separator.into_iter().chain([letter.to_ascii_uppercase()])
    });
    letters.collect()
}

#[test]
fn clients_retry_after_the_same_errors_of_the_server() {
    let in_rust = quoted(between(RUST, "const PASSING: ", ";\n\n"), '"');
    let in_typescript = quoted(between(TYPESCRIPT, "const PASSING: ", ");\n"), '\'');
    assert_eq!(in_rust, in_typescript);
    let of_sockets = quoted(between(TYPESCRIPT_SOCKETS, "const CODES: ", "]);\n"), '\'');
    assert!(in_rust.len() > 2 && of_sockets.len() > 2, "{in_rust:?} {of_sockets:?}");
    for code in in_rust.union(&of_sockets) {
        assert!(TopLevelCode::parse(code).is_some(), "the server has no code {code}");
    }
}

#[test]
fn the_client_in_rust_knows_every_error_code_of_mutations() {
    let variants = between(RUST_OPERATIONS, "pub enum ErrorCode {", "///");
    let known: BTreeSet<String> =
        variants.split(',').map(str::trim).filter(|variant| !variant.is_empty()).map(screaming).collect();
    let definition = Definition::of_roster();
    let served: BTreeSet<String> = definition.enum_values("ErrorCode").into_iter().map(str::to_owned).collect();
    assert_eq!(known, served);
}
