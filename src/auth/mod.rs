//! Authentication: credentials, passwords, tokens, one-time links, throttling, redirects, signed URLs and the server key.

pub mod avatar_link;
pub mod credential;
pub mod one_time_link;
pub mod password;
pub mod pending_registration;
pub mod policy;
pub mod redirect;
pub mod server_key;
pub mod throttle;
pub mod token;
