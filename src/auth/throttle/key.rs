//! Keys of the counters.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::Mailbox;
use crate::client::client_network;
use crate::scalar::Id;

/// The key of a counter of wrong secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleKey(pub(super) Vec<u8>);

impl ThrottleKey {
    /// Returns the key of a user.
    #[must_use]
    pub fn of_user(id: Id) -> Self {
        Self::new("person", id.0.as_bytes())
    }

    /// Returns the key of a signed-in user who must enter their password again.
    #[must_use]
    pub fn of_owner(id: Id) -> Self {
        Self::new("owner", id.0.as_bytes())
    }

    /// Returns the key of a login as typed, whether or not it exists. The login is pseudonymized, because a password may be
    /// typed in its place.
    #[must_use]
    pub fn of_login(pseudonym: &[u8]) -> Self {
        Self::new("login", pseudonym)
    }

    /// Returns the key used in place of [`ThrottleKey::of_user`] for a login that does not exist, so that the same work is
    /// done.
    #[must_use]
    pub fn of_unknown_login(pseudonym: &[u8]) -> Self {
        Self::new("nobody", pseudonym)
    }

    /// Returns the key of a device that has signed in with the password before.
    #[must_use]
    pub fn of_device(id: Id) -> Self {
        Self::new("device", id.0.as_bytes())
    }

    /// Returns the key of the holder of a link that lets a user in, by the hash of its token.
    #[must_use]
    pub fn of_link(token_hash: &[u8]) -> Self {
        Self::new("link", token_hash)
    }

    /// Returns the key of the logins of other licenses that a user encounters.
    #[must_use]
    pub fn of_foreign_logins(user_id: Id) -> Self {
        Self::new("foreign logins", user_id.0.as_bytes())
    }

    /// Returns the key of the [network](client_network) to which an address belongs.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        Self::new("address", client_network(address).to_string().as_bytes())
    }

    /// Returns the key of the emails of a kind that are requested for an email address. The address is pseudonymized, whether
    /// or not it exists. Each kind has its own key, so that requests for one do not block another.
    #[must_use]
    pub fn of_mailbox(mailbox: Mailbox<'_>) -> Self {
        let Mailbox { kind, pseudonym } = mailbox;
        Self::new(&format!("mailbox {kind:?}"), pseudonym)
    }

    /// Returns the key of the emails that are requested from a network address, grouped as by [`ThrottleKey::of_address`].
    #[must_use]
    pub fn of_mails_from(address: IpAddr) -> Self {
        let Self(address) = Self::of_address(address);
        Self::new("mails", &address)
    }

    /// Returns the key of the emails that a signed-in user requests.
    #[must_use]
    pub fn of_mails_by(user_id: Id) -> Self {
        Self::new("mails of user", user_id.0.as_bytes())
    }

    fn new(kind: &str, id: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(id).finalize();
        Self(hash.iter().take(16).copied().collect())
    }
}
