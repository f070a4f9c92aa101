//! The institutions or groups that records may refer to.

use std::collections::{HashMap, HashSet};

use crate::scalar::Id;

/// The objects that records may refer to, by id and by name.
#[derive(Default)]
pub(super) struct NameIndex {
    pub(super) ids: HashSet<Id>,
    by_name: HashMap<String, Vec<Id>>,
    pub(super) by_external_id: HashMap<String, Id>,
}

impl NameIndex {
    pub(super) fn add(&mut self, id: Id, name: &str, external_id: Option<&str>) {
        if !self.ids.insert(id) {
            // Its previous name and external id may have been different.
            self.by_name.values_mut().for_each(|named| named.retain(|named| *named != id));
            self.by_name.retain(|_, named| !named.is_empty());
            self.by_external_id.retain(|_, other| *other != id);
        }
        self.by_name.entry(name.to_owned()).or_default().push(id);
        if let Some(external_id) = external_id {
            self.by_external_id.insert(external_id.to_owned(), id);
        }
    }

    /// Returns the only object with a name, or `None` if there is none.
    pub(super) fn find_by_name(&self, name: &str) -> Result<Option<Id>, String> {
        match self.by_name.get(name).map(Vec::as_slice) {
            Some([id]) => Ok(Some(*id)),
            Some(_) => Err(format!("Several have the name {name:?}; refer to one by its id.")),
            None => Ok(None),
        }
    }

    /// Returns the object with an id or a name.
    pub(super) fn find(&self, reference: &str) -> Result<Id, String> {
        if let Some(id) = Id::parse(reference).filter(|id| self.ids.contains(id)) {
            return Ok(id);
        }
        self.find_by_name(reference)?.ok_or_else(|| format!("Nothing has the id or name {reference:?}."))
    }

    /// Returns the object with an id or a name, or with an external id if none has that name.
    pub(super) fn find_by_any(&self, reference: &str) -> Result<Id, String> {
        self.find(reference).or_else(|error| self.by_external_id.get(reference).copied().ok_or(error))
    }
}
