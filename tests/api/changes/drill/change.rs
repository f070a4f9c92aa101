//! Changes in little memory, because a million of them are compared.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use roster::scalar::Id;
use serde_json::{Value, json};

use crate::process::Caller;

const CHANGES: &str = "query ($after: String) { changes(after: $after, first: 100) { \
    position hasMore changes { kind type nodeId changedFields } } }";

/// Everything of a change but its object. There are few different ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) kind: String,
    pub(super) node_type: String,
    pub(super) fields: Vec<String>,
}

/// A change, as a viewer sees it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) id: Id,
    pub(super) shape: Arc<Shape>,
}

/// The ID in a response.
pub(super) fn id_of(value: &Value) -> Id {
    value.as_str().and_then(Id::parse).unwrap_or_else(|| panic!("{value} is no ID"))
}

/// The object and the shape of a change in a response.
pub(super) fn parsed(change: &Value) -> (Id, Shape) {
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{change:#}")).to_owned();
    let fields = change["changedFields"].as_array().unwrap_or_else(|| panic!("{change:#}"));
    let shape = Shape {
        kind: text(&change["kind"]),
        node_type: text(&change["type"]),
        fields: fields.iter().map(text).collect(),
    };
    (id_of(&change["nodeId"]), shape)
}

/// A number that stands for a change.
pub(super) fn fingerprint(id: Id, shape: &Shape) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, shape).hash(&mut hasher);
    hasher.finish()
}

/// Reads the changes after a position, page by page.
pub(super) async fn read_all(caller: &Caller, start: &str) -> Vec<Change> {
    let (mut after, mut shapes, mut changes) = (json!(start), HashSet::<Arc<Shape>>::new(), Vec::new());
    loop {
        let data = caller.data(CHANGES, json!({ "after": after })).await;
        let page = &data["changes"];
        for change in page["changes"].as_array().unwrap() {
            let (id, shape) = parsed(change);
            let known = shapes.get(&shape).map(Arc::clone);
            let shape = known.unwrap_or_else(|| Arc::new(shape));
            shapes.insert(Arc::clone(&shape));
            changes.push(Change { id, shape });
        }
        if page["hasMore"] == json!(false) {
            return changes;
        }
        after = page["position"].clone();
    }
}
