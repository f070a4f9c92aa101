//! The reference of the schema: a page that needs no script, rendered from the schema definition language.

mod build;
mod index;

use askama::Template;
use async_graphql::parser::parse_schema;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

use self::index::Index;
use crate::error::Error;
use crate::http::compression::EncodedBody;
use crate::http::{ReferencePage, etag};

const CSS: &str = include_str!("../../templates/reference.css");

/// The titles of the sections, in their order. Those of [`ROOTS`] have one type each.
const TITLES: [&str; 10] = [
    "Queries",
    "Mutations",
    "Subscriptions",
    "Objects",
    "Interfaces",
    "Unions",
    "Input objects",
    "Enums",
    "Scalars",
    "Directives",
];

/// The titles whose table of contents lists fields instead of types.
const ROOTS: [&str; 3] = ["Queries", "Mutations", "Subscriptions"];

/// Returns the page for a schema. `description` is that of the schema itself, which async-graphql's parser does not accept.
///
/// # Errors
/// `Internal` if the schema cannot be parsed.
pub fn page(sdl: &str, description: &str) -> Result<ReferencePage, Error> {
    let definitions = parse_schema(sdl).map_err(Error::internal)?.definitions;
    let index = Index::of(&definitions);
    let page =
        ReferenceTemplate { css: CSS, description: index.text(description), sections: index.sections(&definitions) };
    let html = page.render().map_err(Error::internal)?;
    Ok(ReferencePage { etag: etag::of(html.as_bytes()), policy: policy(), body: EncodedBody::new(html.into_bytes()) })
}

/// Returns the content security policy, which allows nothing but the style of the page. A hash, unlike a nonce, lets the page be
/// cached.
fn policy() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(CSS));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[derive(Template)]
#[template(path = "reference.html")]
struct ReferenceTemplate {
    css: &'static str,
    description: RichText,
    sections: Vec<Section>,
}

struct Section {
    title: &'static str,
    entries: Vec<SchemaEntry>,
}

impl Section {
    /// Returns the anchors that the table of contents lists.
    fn links(&self) -> Vec<&str> {
        if ROOTS.contains(&self.title) {
            let elements = self.entries.iter().flat_map(|entry| &entry.elements);
            elements.map(|element| element.anchor.as_str()).collect()
        } else {
            self.entries.iter().map(|entry| entry.anchor.as_str()).collect()
        }
    }
}

/// A type or a directive. Anchors are schema coordinates, such as `User`, `Query.users(first:)` and `@deprecated(reason:)`.
struct SchemaEntry {
    anchor: String,
    description: RichText,
    /// The URL of the specification of a scalar.
    specification: Option<String>,
    elements: Vec<Element>,
    relations: Vec<Relation>,
}

/// The other elements to which a type is related in one way.
struct Relation {
    label: &'static str,
    anchors: Vec<String>,
}

/// A field, an argument, an input field or an enum value.
#[derive(Template)]
#[template(path = "reference_element.html")]
struct Element {
    anchor: String,
    name: String,
    /// `None` for an enum value.
    type_link: Option<TypeLink>,
    default_value: Option<String>,
    deprecation: Option<RichText>,
    description: RichText,
    arguments: Vec<Element>,
}

/// A type with the brackets and exclamation marks around its name.
struct TypeLink {
    before: String,
    name: String,
    after: String,
    is_defined: bool,
}

/// A description.
#[derive(Template)]
#[template(path = "reference_text.html")]
struct RichText {
    spans: Vec<Span>,
}

struct Span {
    text: String,
    is_code: bool,
    /// The element that the code names.
    anchor: Option<String>,
}

#[cfg(test)]
mod tests;
