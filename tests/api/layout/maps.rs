//! The maps of the source in the documentation have every module, and show the imports as they are.

use std::collections::{BTreeMap, BTreeSet};

use super::{LAYERS, sources, top_of};

/// The modules of the crate, and the program.
fn modules() -> BTreeSet<&'static str> {
    let lines = include_str!("../../../src/lib.rs").lines();
    let declared = lines.filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    declared.chain(["main"]).collect()
}

/// The module that a file or folder is, such as `app.rs` or `cli/`.
fn module_of(name: &str) -> &str {
    name.trim_end_matches('/').trim_end_matches(".rs")
}

/// The diagram of the layers in the page on the architecture.
#[derive(Default)]
struct Diagram {
    /// The layer of each module.
    layers: BTreeMap<&'static str, &'static str>,
    /// The arrows between layers, which mean "may use".
    arrows: BTreeSet<(&'static str, &'static str)>,
}

impl Diagram {
    fn of_architecture() -> Self {
        let page = include_str!("../../../docs/architecture.md");
        let (_, rest) = page.split_once("flowchart TD").expect("a diagram");
        let (block, _) = rest.split_once("```").expect("its end");
        let (modules, mut diagram) = (modules(), Self::default());
        for line in block.lines().map(str::trim) {
            if let Some((layer, label)) = line.split_once("[\"<b>") {
                let (_, listed) = label.split_once("</b>").expect("a list");
                let names = listed.split(|c: char| !c.is_ascii_alphanumeric() && !"_./".contains(c)).map(module_of);
                for name in names.filter(|name| modules.contains(name)) {
                    assert_eq!(diagram.layers.insert(name, layer), None, "{name} is in two layers");
                }
            } else {
                let path: Vec<&str> = line.split(" --> ").collect();
                diagram.arrows.extend(path.windows(2).map(|pair| (pair[0], pair[1])));
            }
        }
        diagram
    }

    fn leads(&self, from: &str, to: &str) -> bool {
        from == to || self.arrows.iter().any(|(start, end)| *start == from && self.leads(end, to))
    }
}

#[test]
fn the_diagram_of_the_architecture_allows_every_import() {
    let diagram = Diagram::of_architecture();
    let mut other = BTreeSet::new();
    for (file, imports) in sources() {
        let from = diagram.layers[top_of(&file)];
        for path in imports.of_crate {
            let Some(module) = path.first() else { continue };
            if !diagram.leads(from, diagram.layers[module.as_str()]) {
                other.insert(format!("{file} imports {}", path.join("::")));
            }
        }
    }
    assert!(other.is_empty(), "no arrow of docs/architecture.md allows {other:#?}");
}

#[test]
fn every_module_is_on_the_maps() {
    let modules = modules();
    let layers: BTreeSet<&str> = LAYERS.iter().copied().flatten().copied().collect();
    assert_eq!(layers, modules, "the layers of this test");
    let diagram: BTreeSet<&str> = Diagram::of_architecture().layers.into_keys().collect();
    assert_eq!(diagram, modules, "the diagram in docs/architecture.md");
    let readme = include_str!("../../../README.md");
    let (_, rest) = readme.split_once("## Find your way in the source").expect("a heading");
    let (section, _) = rest.split_once("\n## ").expect("another heading");
    let first_cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let table: BTreeSet<&str> = first_cells.flat_map(|cell| cell.split(['`', ',', ' ']).map(module_of)).collect();
    let table: BTreeSet<&str> = table.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(table, modules, "the table in README.md");
}
