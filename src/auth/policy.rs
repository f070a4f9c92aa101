//! Policies: the rules of signing in and of self-service.

use std::time::Duration;

use crate::auth::redirect::NextUrls;
use crate::scalar::Id;

/// The lifetime of sessions.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// The time from sign-in to the end, regardless of use.
    pub absolute: Duration,
    /// The time from the last use to the end.
    pub idle: Duration,
}

/// The rules by which users sign in.
#[derive(Clone, Copy, Debug)]
pub struct SignInPolicy {
    pub lifetime: Lifetime,
    /// The most wrong secrets from one network address within 15 minutes. The same limit applies to requests for emails.
    pub max_failures_per_address: u32,
}

/// The rules for users who are not registered or not signed in.
#[derive(Clone, Debug)]
pub struct SelfServicePolicy {
    /// The URLs to which users may be redirected after they have activated their account.
    pub next_urls: NextUrls,
    /// The URL at which users sign in, for the pages of emailed links; `None` if there is none to link to.
    pub sign_in_url: Option<String>,
    /// The license in which users may register themselves; `None` disables registration.
    pub registration: Option<Id>,
}
