//! The reference of the schema at /docs: complete, current, without scripts and other files, for those who may read the schema.

use std::collections::HashSet;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{ConstDirective, InputValueDefinition, TypeSystemDefinition};
use async_graphql::{Positioned, Value};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION};
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::browser::Browser;
use crate::definition::{SCHEMA, innermost};
use crate::process::{ADMIN, Sandbox};
use crate::wire::RawClient;

async fn html() -> String {
    RawClient(App::on_sqlite().await.address).get("/docs").await.body
}

/// The schema coordinates of all types, fields, arguments, input fields and enum values.
fn coordinates() -> Vec<String> {
    let mut found = Vec::new();
    for name in SCHEMA.0.keys() {
        found.push(name.clone());
        for field in SCHEMA.fields(name) {
            let field_coordinate = format!("{name}.{}", field.name.node);
            found.extend(arguments(&field_coordinate, &field.arguments));
            found.push(field_coordinate);
        }
        found.extend(SCHEMA.input_fields(name).iter().map(|field| format!("{name}.{}", field.name.node)));
        found.extend(SCHEMA.enum_values(name).iter().map(|value| format!("{name}.{value}")));
    }
    found
}

fn arguments(of: &str, arguments: &[Positioned<InputValueDefinition>]) -> Vec<String> {
    arguments.iter().map(|argument| format!("{of}({}:)", argument.node.name.node)).collect()
}

/// The coordinates of the directives and their arguments.
fn directives() -> Vec<String> {
    let definitions = parse_schema(roster::schema::sdl()).unwrap().definitions;
    let directives = definitions.iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Directive(directive) => Some(&directive.node),
        _ => None,
    });
    let coordinates = directives.flat_map(|directive| {
        let coordinate = format!("@{}", directive.name.node);
        [arguments(&coordinate, &directive.arguments), vec![coordinate]].concat()
    });
    coordinates.collect()
}

/// The reasons of all deprecations of fields, arguments and input fields.
fn deprecations() -> Vec<String> {
    let mut found = Vec::new();
    for name in SCHEMA.0.keys() {
        for field in SCHEMA.fields(name) {
            found.extend(deprecation(&field.directives));
            found.extend(field.arguments.iter().filter_map(|argument| deprecation(&argument.node.directives)));
        }
        found.extend(SCHEMA.input_fields(name).iter().filter_map(|field| deprecation(&field.directives)));
    }
    found
}

fn deprecation(directives: &[Positioned<ConstDirective>]) -> Option<String> {
    let directive = directives.iter().find(|directive| directive.node.name.node == "deprecated")?;
    match &directive.node.get_argument("reason")?.node {
        Value::String(reason) => Some(reason.clone()),
        other => panic!("{other}"),
    }
}

/// The values of an attribute, in their order.
fn attributes<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    html.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// The text of a part of the page, as a browser shows it.
fn text(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<').skip(1) {
        text.push_str(part.split_once('>').unwrap().1);
    }
    let escapes = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    let text = escapes.iter().fold(text, |text, (escape, character)| text.replace(escape, character));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_element_of_the_schema_has_an_anchor_and_its_description() {
    let html = html().await;
    let anchors = attributes(&html, " id=\"");
    let distinct: HashSet<&str> = anchors.iter().copied().collect();
    assert_eq!(anchors.len(), distinct.len(), "an anchor appears twice");
    let expected: HashSet<String> = coordinates().into_iter().chain(directives()).collect();
    let distinct: HashSet<String> = distinct.into_iter().map(str::to_owned).collect();
    let differing: Vec<_> = expected.symmetric_difference(&distinct).collect();
    assert!(expected.len() > 800 && differing.is_empty(), "{} elements, {differing:?}", expected.len());

    let shown = text(&html);
    let as_shown = |text: &str| text.replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, definition) in &SCHEMA.0 {
        let fields = SCHEMA.fields(name).into_iter().map(|field| field.description.as_ref());
        let inputs = SCHEMA.input_fields(name).into_iter().map(|field| field.description.as_ref());
        for description in fields.chain(inputs).chain([definition.description.as_ref()]) {
            let description = as_shown(&description.unwrap().node);
            assert!(shown.contains(&description), "{name}: {description}");
        }
    }
    for reason in deprecations() {
        assert!(shown.contains(&format!("Deprecated. {}", as_shown(&reason))), "{reason}");
    }
}

#[tokio::test]
async fn every_link_within_the_page_has_its_target() {
    let html = html().await;
    let anchors: HashSet<&str> = attributes(&html, " id=\"").into_iter().collect();
    let links: HashSet<&str> = attributes(&html, " href=\"").into_iter().collect();
    let targets: HashSet<&str> = links.iter().filter_map(|link| link.strip_prefix('#')).collect();
    let missing: Vec<_> = targets.difference(&anchors).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in ["Query.users", "Mutation.createUser", "User", "ErrorCode.TAKEN", "@deprecated"] {
        assert!(targets.contains(name), "no link to {name}");
    }
    for field in SCHEMA.fields("User") {
        let ty = innermost(&field.ty.node);
        assert!(!SCHEMA.0.contains_key(ty) || targets.contains(ty), "no link to {ty}");
    }
}

#[tokio::test]
async fn the_page_has_no_script_and_loads_nothing() {
    let app = App::on_sqlite().await;
    let response = RawClient(app.address).get("/docs").await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let (_, rest) = response.body.split_once("<style>").unwrap();
    let style = BASE64_STANDARD.encode(Sha256::digest(rest.split_once("</style>").unwrap().0));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(response.header("content-security-policy"), Some(policy.as_str()));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    for part in ["<script", "<link", "<img", "<iframe", " src=", " style=", " on", "@import", "url(", "javascript:"] {
        let mut markup =
            response.body.split('<').filter_map(|part| part.split_once('>')).map(|(tag, _)| format!("<{tag}"));
        let is_present = match part {
            "@import" | "url(" => rest.split_once("</style>").unwrap().0.contains(part),
            part => markup.any(|tag| tag.contains(part)),
        };
        assert!(!is_present, "{part}");
    }
}

#[tokio::test]
async fn the_page_is_compressed_and_revalidated() {
    let app = App::on_sqlite().await;
    let (client, http) = (RawClient(app.address), reqwest::Client::new());
    let plain = client.get("/docs").await;
    assert_eq!(plain.header("content-encoding"), None);
    let etag = plain.header("etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");
    assert_eq!(plain.header("cache-control"), Some("private, no-cache"));
    for encoding in ["br", "gzip", "zstd"] {
        let request = http.get(format!("{}/docs", app.url())).header(ACCEPT_ENCODING, encoding);
        let response = request.send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((header("content-encoding").as_str(), header("etag")), (encoding, etag.clone()));
        let vary: Vec<_> = response.headers().get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(vary, ["Authorization", "Accept-Encoding"]);
        let length = response.bytes().await.unwrap().len();
        assert!(length < plain.body.len() / 3, "{encoding}: {length} of {} bytes", plain.body.len());
    }
    let again = client.send("GET", "/docs", &format!("If-None-Match: {etag}\r\n"), b"").await;
    assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", Some(etag.as_str())));
    let head = client.raw(b"HEAD /docs HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((head.status, head.header("etag")), (200, Some(etag.as_str())));
    assert_eq!(client.send("POST", "/docs", "", b"").await.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_who_may_read_the_schema_may_read_the_page() {
    let sandbox = Sandbox::on_sqlite().with_admin().await;
    for (readers, administrator, anonymous) in
        [("everyone", 200, 200), ("administrators", 200, 403), ("nobody", 403, 403)]
    {
        let server = sandbox.serve(&["--introspection", readers]).await;
        let token = server.sign_in(ADMIN).await.token.unwrap();
        let request = reqwest::Client::new().get(server.url("/docs")).header(AUTHORIZATION, format!("Bearer {token}"));
        assert_eq!(request.send().await.unwrap().status().as_u16(), administrator, "{readers}");
        assert_eq!(server.status_of("/docs").await, anonymous, "{readers}");
        let playground = reqwest::get(server.url("/")).await.unwrap().text().await.unwrap();
        assert_eq!(playground.contains("href=\"docs\""), readers == "everyone", "{readers}");
        assert!(!playground.contains("{{"), "{playground}");
    }
    let server = sandbox.serve(&["--playground", "false"]).await;
    assert_eq!(server.status_of("/docs").await, 200);
}

#[tokio::test]
async fn the_page_works_in_a_browser_without_internet_access() {
    let Some(browser) = Browser::start().await else { return };
    let app = App::on_sqlite().await;
    browser.open(&app.url()).await;
    browser.click("#bar a").await;
    browser.see("h1", "Schema reference").await;
    browser.see_true("return getComputedStyle(document.body).margin === '0px'").await;
    browser.open(&format!("{}/docs#Query.users(first:)", app.url())).await;
    browser.see(":target", "first: Int").await;
    browser.click("[id='Query.users'] a[href='#UserConnection']").await;
    browser.see(":target h3", "UserConnection").await;
    assert_eq!(browser.console().await, [""; 0]);
    for address in browser.loaded().await {
        assert!(address.starts_with(&format!("{}/docs", app.url())), "loaded {address}");
    }
}
