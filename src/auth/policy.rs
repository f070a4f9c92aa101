//! How users sign in, and what visitors may do.

use std::time::Duration;

use crate::auth::redirect::NextUrls;
use crate::scalar::Id;

/// How long sessions last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// From sign-in to the end, however much it is used.
    pub absolute: Duration,
    /// From the last use to the end.
    pub idle: Duration,
}

/// By what rules people sign in.
#[derive(Clone, Copy, Debug)]
pub struct SignInPolicy {
    pub lifetime: Lifetime,
    /// So many wrong secrets may come from one network address within a quarter of an hour, and as many requests for mails.
    pub max_failures_per_address: u32,
}

/// What people may do who are not known yet, or not signed in.
#[derive(Clone, Debug)]
pub struct SelfServicePolicy {
    /// Where people may be sent on to once they have taken their account into use.
    pub next_urls: NextUrls,
    /// The license in which people may register themselves; none where nobody may.
    pub registration: Option<Id>,
}
