//! The layers of src: imports go downwards only, and resolvers contain no SQL. Parses the source files, except tests.

mod maps;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The top-level modules of src. A module may import only the modules of later lines.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["metrics"],
    &["app", "backup"],
    &["schema"],
    &["import"],
    &[
        "user",
        "group",
        "institution",
        "site_access",
        "attribute",
        "license",
        "session",
        "api_key",
        "audit_event",
        "change",
        "document",
    ],
    &["graphql", "web", "startup"],
    &["ownership", "mail", "export"],
    &["attribute_values", "search_index"],
    &["auth"],
    &["audit"],
    &["actor", "avatar"],
    &["login", "access"],
    &["entity"],
    &["http"],
    &["db", "validation"],
    &["budget", "share", "background"],
    &["client"],
    &["i18n", "private_file"],
    &["scalar", "text"],
    &["error"],
    &["measure", "repeated", "trace"],
];

/// The `SeaORM` items that a resolver may import: enough to filter a list, not to run a statement.
const FILTERS: [&str; 7] =
    ["sea_orm", "sea_query", "ColumnTrait", "EntityTrait", "QueryFilter", "Condition", "ExprTrait"];

/// The imports of a file.
#[derive(Default)]
struct Imports {
    /// Paths from the root of the crate, such as `crate::db::Db`.
    of_crate: BTreeSet<Vec<String>>,
    /// Paths from anywhere else.
    others: BTreeSet<Vec<String>>,
}

impl Imports {
    fn add(&mut self, path: &[String]) {
        match path.first().map(String::as_str) {
            Some("crate" | "roster") => self.of_crate.insert(path[1..].to_vec()),
            _ => self.others.insert(path.to_vec()),
        };
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.add(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(item, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.first().is_some_and(|first| first == "crate") {
            self.add(&segments);
        }
        visit::visit_path(self, path);
    }
}

fn is_for_tests(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

/// The source files by their paths below src, except tests.
fn sources() -> BTreeMap<String, Imports> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut folders) = (BTreeMap::new(), vec![src.clone()]);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
        folders.extend(inner);
        for file in files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
            let name = file.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
            if ["tests.rs", "vectors.rs", "lib.rs"].iter().any(|left_out| name.ends_with(left_out)) {
                continue;
            }
            let mut imports = Imports::default();
            imports.visit_file(&syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap());
            found.insert(name, imports);
        }
    }
    assert!(found.len() > 150, "only {} files were read", found.len());
    found
}

fn top_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

fn layer_of(module: &str) -> usize {
    let layer = LAYERS.iter().position(|layer| layer.contains(&module));
    layer.unwrap_or_else(|| panic!("{module} is in no layer: add it to LAYERS"))
}

#[test]
fn imports_go_downwards() {
    let mut upward = BTreeSet::new();
    for (file, imports) in sources() {
        let own = top_of(&file).to_owned();
        for path in imports.of_crate {
            let Some(other) = path.first() else { continue };
            if *other != own && layer_of(other) <= layer_of(&own) {
                upward.insert(format!("{file} imports {}", path.join("::")));
            }
        }
    }
    assert!(upward.is_empty(), "imports of the same or a higher layer: {upward:#?}");
}

#[test]
fn only_the_schema_imports_resolvers() {
    let is_resolver = |name: &str| matches!(name, "query" | "mutation" | "subscription" | "email_mutation");
    let mut wrong = BTreeSet::new();
    for (file, imports) in sources() {
        let own = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        let of_feature = imports.others.iter().filter(|path| matches!(path[0].as_str(), "super" | "self"));
        for path in imports.of_crate.iter().chain(of_feature) {
            if path.iter().any(|name| is_resolver(name)) && file != "schema.rs" && !is_resolver(&own) {
                wrong.insert(format!("{file} imports {}", path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "other modules import resolvers: {wrong:#?}");
}

#[test]
fn resolvers_run_no_statements() {
    let mut wrong = BTreeSet::new();
    for (file, imports) in sources() {
        let is_mutation = file.ends_with("mutation.rs");
        if !is_mutation && !file.ends_with("/query.rs") && !file.ends_with("change/subscription.rs") {
            continue;
        }
        for path in imports.others.iter().filter(|path| path[0] == "sea_orm" || path[0] == "sqlx") {
            if is_mutation || path.iter().any(|name| !FILTERS.contains(&name.as_str())) {
                wrong.insert(format!("{file} imports {}", path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "SQL in resolvers: {wrong:#?}");
}
