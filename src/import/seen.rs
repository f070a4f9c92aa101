//! The unique values of the rows so far.

use std::collections::HashMap;

use super::place::Place;
use super::record::RecordKind;
use crate::entity::external_reference::ExternalReference;
use crate::entity::user;
use crate::scalar::Id;

/// The objects of the file so far, and the unique values that they use.
#[derive(Default)]
pub struct SeenKeys {
    /// The row that each object was first mentioned in.
    places: HashMap<(RecordKind, Id), Place>,
    logins: HashMap<String, Claim>,
    external_ids: HashMap<String, Claim>,
    references: HashMap<String, Claim>,
}

/// The use of a value.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) user_id: Id,
    pub(super) place: Place,
    /// The number of the chunk.
    pub(super) chunk: u64,
}

impl SeenKeys {
    /// Notes an object. Returns the row that it was first mentioned in, if it was mentioned before.
    pub(super) fn add(&mut self, kind: RecordKind, id: Id, place: Place) -> Option<Place> {
        let first = self.places.get(&(kind, id)).copied();
        if first.is_none() {
            self.places.insert((kind, id), place);
        }
        first
    }

    /// Returns whether an object was mentioned.
    pub(super) fn contains(&self, kind: RecordKind, id: Id) -> bool {
        self.places.contains_key(&(kind, id))
    }

    /// Returns the row of another user of the file who has the login already; otherwise reserves it for this one.
    pub(super) fn claim_login(&mut self, key: Option<&str>, claim: Claim) -> Option<Place> {
        claim_value(&mut self.logins, key, claim)
    }

    /// Returns the row of another user of the file who has the external ID already; otherwise reserves it for this one.
    pub(super) fn claim_external_id(&mut self, user: &user::Model, claim: Claim) -> Option<Place> {
        claim_value(&mut self.external_ids, user.external_id.as_deref(), claim)
    }

    /// Returns the row of another user of the file who has the reference already; otherwise reserves it for this one.
    pub(super) fn claim_reference(&mut self, reference: &ExternalReference, claim: Claim) -> Option<Place> {
        claim_value(&mut self.references, Some(&reference.text()), claim)
    }

    /// Forgets the values that are unique only within a license.
    pub(super) fn leave_license(&mut self) {
        self.external_ids.clear();
        self.references.clear();
    }

    /// Forgets the values of the users up to a chunk.
    pub(super) fn forget(&mut self, chunk: u64) {
        self.logins.retain(|_, claim| claim.chunk > chunk);
        self.external_ids.retain(|_, claim| claim.chunk > chunk);
        self.references.retain(|_, claim| claim.chunk > chunk);
    }
}

fn claim_value(claims: &mut HashMap<String, Claim>, value: Option<&str>, claim: Claim) -> Option<Place> {
    let value = value?;
    if let Some(other) = claims.get(value) {
        return (other.user_id != claim.user_id).then_some(other.place);
    }
    claims.insert(value.to_owned(), claim);
    None
}
