//! Values that only the server key links to a text.

use sha2::{Digest, Sha256};

use super::Hasher;
use crate::scalar::Id;

impl Hasher {
    /// Returns a value that only the server key links to a text.
    #[must_use]
    pub fn pseudonymize(&self, text: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update("roster login")
            .chain_update(self.key.as_bytes())
            .chain_update(text)
            .finalize()
            .into()
    }

    /// Returns the keyed hash of a user's external id in a license, in hexadecimal digits.
    #[must_use]
    pub fn hash_reference(&self, license_id: Id, external_id: &str) -> String {
        let hash = Sha256::new()
            .chain_update("roster external id")
            .chain_update(self.key.as_bytes())
            .chain_update(license_id.0.as_bytes())
            .chain_update(external_id)
            .finalize();
        hex::encode(hash)
    }
}
