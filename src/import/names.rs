//! The institutions or groups that records may refer to.

use std::collections::{HashMap, HashSet};

use async_graphql::MaybeUndefined;

use crate::entity::external_reference::{self, ExternalReferenceInput, StoredReferences};
use crate::scalar::Id;

/// The references of a record.
type GivenReferences = MaybeUndefined<Vec<ExternalReferenceInput>>;

/// The objects that records may refer to, by id and by name.
#[derive(Default)]
pub(super) struct NameIndex {
    pub(super) ids: HashSet<Id>,
    by_name: HashMap<String, Vec<Id>>,
    /// Names that several objects have, not all of which are known.
    pub(super) ambiguous: HashSet<String>,
    pub(super) by_external_id: HashMap<String, Id>,
    by_reference: HashMap<String, Id>,
    /// The sources of which each object has a reference.
    sources: HashSet<(Id, String)>,
}

impl NameIndex {
    pub(super) fn add(&mut self, id: Id, name: &str, external_id: Option<&str>, references: Option<&StoredReferences>) {
        if !self.ids.insert(id) {
            // Its previous name and external ID may have been different.
            self.by_name.values_mut().for_each(|named| named.retain(|named| *named != id));
            self.by_name.retain(|_, named| !named.is_empty());
            self.by_external_id.retain(|_, other| *other != id);
            self.by_reference.retain(|_, other| *other != id);
            self.sources.retain(|(other, _)| *other != id);
        }
        self.by_name.entry(name.to_owned()).or_default().push(id);
        if let Some(external_id) = external_id {
            self.by_external_id.insert(external_id.to_owned(), id);
        }
        let references = external_reference::list(references);
        self.by_reference.extend(references.iter().map(|reference| (reference.text(), id)));
        self.sources.extend(references.into_iter().map(|reference| (id, reference.source)));
    }

    /// Returns the only object with a name, or `None` if there is none.
    pub(super) fn find_by_name(&self, name: &str) -> Result<Option<Id>, String> {
        let is_ambiguous = self.ambiguous.contains(name);
        match self.by_name.get(name).map(Vec::as_slice) {
            Some([id]) if !is_ambiguous => Ok(Some(*id)),
            None if !is_ambiguous => Ok(None),
            _ => Err(format!("Several have the name {name:?}; refer to one by its id.")),
        }
    }

    /// Returns the object with an id or a name.
    pub(super) fn find(&self, reference: &str) -> Result<Id, String> {
        if let Some(id) = Id::parse(reference).filter(|id| self.ids.contains(id)) {
            return Ok(id);
        }
        self.find_by_name(reference)?.ok_or_else(|| format!("Nothing has the id or name {reference:?}."))
    }

    /// Returns the object with an ID or a name, or with an external ID or a reference `source:id`; `None` if there is none.
    ///
    /// # Errors
    /// Several objects have the name.
    pub(super) fn find_named(&self, reference: &str) -> Result<Option<Id>, String> {
        if let Some(id) = Id::parse(reference).filter(|id| self.ids.contains(id)) {
            return Ok(Some(id));
        }
        let in_other_system = || self.by_external_id.get(reference).or_else(|| self.by_reference.get(reference));
        Ok(self.find_by_name(reference)?.or_else(|| in_other_system().copied()))
    }

    /// Returns the object with an ID or a name, or with an external ID or a reference `source:id` if none has that name.
    pub(super) fn find_by_any(&self, reference: &str) -> Result<Id, String> {
        let in_other_system = || self.by_external_id.get(reference).or_else(|| self.by_reference.get(reference));
        self.find(reference).or_else(|error| in_other_system().copied().ok_or(error))
    }

    /// Returns the first object with one of the references of a record.
    pub(super) fn find_by_references(&self, given: &GivenReferences) -> Option<Id> {
        let mut texts = items(given).filter_map(ExternalReferenceInput::text);
        texts.find_map(|text| self.by_reference.get(&text).copied())
    }

    /// Returns whether an object has no reference yet of the sources that a record gives.
    pub(super) fn is_free(&self, id: Id, given: &GivenReferences) -> bool {
        !items(given).any(|item| self.sources.contains(&(id, item.source.trim().to_owned())))
    }

    /// Returns whether another object than one has one of its references.
    pub(super) fn is_taken(&self, id: Id, references: Option<&StoredReferences>) -> bool {
        let is_of_other = |text: &String| self.by_reference.get(text).is_some_and(|other| *other != id);
        external_reference::list(references).iter().any(|reference| is_of_other(&reference.text()))
    }
}

fn items(given: &GivenReferences) -> impl Iterator<Item = &ExternalReferenceInput> {
    given.as_opt_ref().flatten().into_iter().flatten()
}
