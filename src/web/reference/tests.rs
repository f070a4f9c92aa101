use poem::http::HeaderMap;

use super::page;

const SDL: &str = r#"
"""
A thing, made by `makeThing`.
"""
type Thing implements Named {
	name: String! @deprecated(reason: "Use `Kind` & <others>.")
	parts(
		first: Int = 5 @deprecated(reason: "Use all."),
		"The kinds: `Kind`, `kind`."
		kinds: [Kind!]! = [BIG]
	): [Thing!]
}

interface Named {
	name: String!
}

union Any = Thing | Query

enum Kind {
	BIG
	SMALL @deprecated
}

input ThingInput {
	size: Int! = 3 @deprecated(reason: "Use another.")
	kind: Kind
}

scalar Day @specifiedBy(url: "https://example.org/day")

type Query {
	thing: Thing
	any(by: ThingInput!): Any
}

type Mutation {
	makeThing: Thing
}

directive @deprecated(reason: String = "No longer supported") on FIELD_DEFINITION

schema {
	query: Query
	mutation: Mutation
}
"#;

fn html() -> String {
    let page = page(SDL, "All `Thing`s.").unwrap();
    String::from_utf8(page.body.accepted(&HeaderMap::new()).0.to_vec()).unwrap()
}

#[test]
fn every_element_has_an_anchor() {
    let html = html();
    for anchor in [
        "Thing",
        "Thing.name",
        "Thing.parts",
        "Thing.parts(first:)",
        "Thing.parts(kinds:)",
        "Named.name",
        "Any",
        "Kind.BIG",
        "ThingInput.size",
        "Day",
        "Query.any(by:)",
        "Mutation.makeThing",
        "@deprecated",
        "@deprecated(reason:)",
    ] {
        assert_eq!(html.matches(&format!(" id=\"{anchor}\"")).count(), 1, "{anchor}\n{html}");
    }
}

#[test]
fn deprecations_are_shown_with_their_reasons() {
    let html = html();
    let deprecation = |anchor: &str| {
        let element = html.split(&format!("<dt id=\"{anchor}\"")).nth(1).unwrap().split("</dd>").next().unwrap();
        element.split_once("class=\"deprecated\">").map(|(_, rest)| rest.split("</p>").next().unwrap().to_owned())
    };
    let named = "Deprecated. Use <a href=\"#Kind\"><code>Kind</code></a> &#38; &#60;others&#62;.";
    assert_eq!(deprecation("Thing.name").as_deref(), Some(named));
    assert_eq!(deprecation("Thing.parts(first:)").as_deref(), Some("Deprecated. Use all."));
    assert_eq!(deprecation("ThingInput.size").as_deref(), Some("Deprecated. Use another."));
    assert_eq!(deprecation("Kind.SMALL").as_deref(), Some("Deprecated. "));
    assert_eq!(deprecation("Kind.BIG"), None);
    assert_eq!(html.matches("Deprecated.").count(), 4);
}

#[test]
fn types_and_names_in_descriptions_are_links() {
    let html = html();
    for part in [
        "A thing, made by <a href=\"#Mutation.makeThing\"><code>makeThing</code></a>.",
        "The kinds: <a href=\"#Kind\"><code>Kind</code></a>, <code>kind</code>.",
        "<code>: [<a href=\"#Kind\">Kind</a>!]! = [BIG]</code>",
        "<code>: Int = 5</code>",
        "All <a href=\"#Thing\"><code>Thing</code></a>s.",
        "Implemented by <a href=\"#Thing\"><code>Thing</code></a></p>",
        "Possible types: <a href=\"#Thing\"><code>Thing</code></a>, <a href=\"#Query\"><code>Query</code></a></p>",
        "Used by <a href=\"#Thing.parts(kinds:)\"><code>Thing.parts(kinds:)</code></a>, <a href=\"#ThingInput.kind\">",
        "Specified by <a href=\"https://example.org/day\">https://example.org/day</a>",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
}

#[test]
fn a_schema_that_cannot_be_parsed_is_an_error() {
    assert!(page("type", "").is_err());
}
