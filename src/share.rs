//! Fair shares: how much of something one user has under way at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// The work under way, counted by key; cheap to clone.
#[derive(Clone)]
pub struct Shares<K> {
    limit: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// One place of a key's share, given back when dropped.
pub struct Share<K: Eq + Hash> {
    shares: Shares<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Shares of `limit` places for each key.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, taken: Arc::default() }
    }

    /// A place for a key; none if its share is used up.
    #[must_use]
    pub fn take(&self, key: K) -> Option<Share<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key.clone()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Share { shares: self.clone(), key })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_share_and_gives_it_back() {
        let shares = Shares::new(2);
        let (one, _two) = (shares.take("ada").unwrap(), shares.take("ada").unwrap());
        assert!(shares.take("ada").is_none());
        assert!(shares.take("bob").is_some());
        drop(one);
        assert!(shares.take("ada").is_some());
        assert_eq!(shares.taken.lock().unwrap().len(), 1, "a key without work is forgotten");
    }
}
