//! Authentication: credentials, passwords, tokens, one-time links, throttling, redirects, signed URLs and the server keys.

pub mod avatar_link;
pub mod credential;
pub mod key_ring;
pub mod key_state;
pub mod key_use;
pub mod one_time_link;
pub mod password;
pub mod pending_registration;
pub mod policy;
pub mod redirect;
pub mod server_key;
pub mod throttle;
pub mod token;
