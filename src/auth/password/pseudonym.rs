//! Values that only the server key links to a text.

use sha2::{Digest, Sha256};

use super::Hasher;
use crate::auth::server_key::Key;
use crate::scalar::Id;

impl Hasher {
    /// Returns a value that only the server key links to a text.
    #[must_use]
    pub fn pseudonymize(&self, text: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update("roster login")
            .chain_update(self.keys().current().as_bytes())
            .chain_update(text)
            .finalize()
            .into()
    }

    /// Returns the keyed hash of a user's external ID in a license, to be stored.
    #[must_use]
    pub fn hash_reference(&self, license_id: Id, external_id: &str) -> ReferenceHash {
        ReferenceHash::new(self.keys().current(), license_id, external_id)
    }

    /// Returns the hashes under which a user's external ID may be stored: one for each server key, the current one first.
    #[must_use]
    pub fn hashes_of_reference(&self, license_id: Id, external_id: &str) -> Vec<ReferenceHash> {
        self.keys().all().map(|key| ReferenceHash::new(key, license_id, external_id)).collect()
    }
}

/// The keyed hash of a user's external ID in a license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceHash {
    /// The hash, in hexadecimal digits.
    pub hash: String,
    /// The ID of the server key, in hexadecimal digits.
    pub key_id: String,
}

impl ReferenceHash {
    fn new(key: &Key, license_id: Id, external_id: &str) -> Self {
        let hash = Sha256::new()
            .chain_update("roster external id")
            .chain_update(key.as_bytes())
            .chain_update(license_id.0.as_bytes())
            .chain_update(external_id)
            .finalize();
        Self { hash: hex::encode(hash), key_id: hex::encode(key.id()) }
    }
}
