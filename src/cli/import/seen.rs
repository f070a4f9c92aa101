//! The unique values of the lines so far.

use std::collections::{HashMap, HashSet};

use crate::entity::user;
use crate::scalar::Id;

/// The objects of the file so far, and the unique values that they use.
#[derive(Default)]
pub(super) struct SeenKeys {
    ids: HashSet<(&'static str, Id)>,
    logins: HashMap<String, Claim>,
    external_ids: HashMap<String, Claim>,
}

/// The use of a value.
struct Claim {
    user_id: Id,
    /// The number of the chunk.
    chunk: u64,
}

impl SeenKeys {
    /// Notes an object. Returns whether it is mentioned for the first time.
    pub(super) fn add(&mut self, kind: &'static str, id: Id) -> bool {
        self.ids.insert((kind, id))
    }

    /// Returns whether another user of the file has the login already; otherwise reserves it for this one.
    pub(super) fn is_login_taken(&mut self, key: Option<&str>, user_id: Id, chunk: u64) -> bool {
        is_taken(&mut self.logins, key, Claim { user_id, chunk })
    }

    /// Returns whether another user of the file has the external id already; otherwise reserves it for this one.
    pub(super) fn is_external_id_taken(&mut self, user: &user::Model, chunk: u64) -> bool {
        is_taken(&mut self.external_ids, user.external_id.as_deref(), Claim { user_id: user.id, chunk })
    }

    /// Forgets the values of the users up to a chunk.
    pub(super) fn forget(&mut self, chunk: u64) {
        self.logins.retain(|_, claim| claim.chunk > chunk);
        self.external_ids.retain(|_, claim| claim.chunk > chunk);
    }
}

fn is_taken(claims: &mut HashMap<String, Claim>, value: Option<&str>, claim: Claim) -> bool {
    let Some(value) = value else { return false };
    if let Some(other) = claims.get(value) {
        return other.user_id != claim.user_id;
    }
    claims.insert(value.to_owned(), claim);
    false
}
