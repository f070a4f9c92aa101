//! The server keys in use: the one that makes new hashes, and, while a key is being replaced, others that only verify.

use std::sync::{Arc, PoisonError, RwLock};

use super::server_key::{HeldKeys, Key};

/// The server keys in use at one moment.
#[derive(Clone, Debug)]
pub struct ServerKeys {
    current: Key,
    others: Vec<Key>,
}

/// The server keys in use, which change while a key is being replaced; cheap to clone.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<RwLock<Arc<ServerKeys>>>);

impl ServerKeys {
    /// Creates the keys: `current` makes new hashes, and all of them verify.
    #[must_use]
    pub const fn new(current: Key, others: Vec<Key>) -> Self {
        Self { current, others }
    }

    /// Returns the key that makes new hashes, links, cursors and signatures.
    #[must_use]
    pub const fn current(&self) -> &Key {
        &self.current
    }

    /// Returns the keys that only verify.
    #[must_use]
    pub fn others(&self) -> &[Key] {
        &self.others
    }

    /// Returns all keys, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.others)
    }

    /// Returns the key whose ID marks a hash.
    #[must_use]
    pub fn with_id(&self, id: &[u8]) -> Option<&Key> {
        self.all().find(|key| key.id() == id)
    }
}

impl KeyRing {
    /// Returns the keys that are in use now.
    #[must_use]
    pub fn keys(&self) -> Arc<ServerKeys> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other keys to use. Work that has begun with the former ones is finished with them.
    pub fn replace(&self, keys: ServerKeys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}

impl From<Key> for ServerKeys {
    fn from(key: Key) -> Self {
        Self::new(key, Vec::new())
    }
}

impl From<HeldKeys> for ServerKeys {
    /// Takes the first key as the current one.
    fn from(held: HeldKeys) -> Self {
        Self::new(held.first().clone(), held.all().skip(1).cloned().collect())
    }
}

impl From<&ServerKeys> for HeldKeys {
    fn from(keys: &ServerKeys) -> Self {
        keys.others.iter().cloned().fold(keys.current.clone().into(), Self::with)
    }
}

impl From<ServerKeys> for KeyRing {
    fn from(keys: ServerKeys) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }
}

impl From<Key> for KeyRing {
    fn from(key: Key) -> Self {
        ServerKeys::from(key).into()
    }
}
