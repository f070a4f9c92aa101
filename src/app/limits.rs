//! The limits of what one caller has under way.

use std::time::Duration;

use crate::background;
use crate::share::ShareLimits;

/// Returns the limits for the expensive requests of one caller.
pub(super) fn expensive_requests() -> ShareLimits {
    ShareLimits { at_once: background::threads(), waiting: 64, max_wait: Duration::from_secs(3), rest: 4 }
}

/// Returns the limits for the subscriptions of one caller that catch up with changes they missed.
pub(super) fn catching_up() -> ShareLimits {
    ShareLimits { at_once: background::threads(), waiting: 400, max_wait: Duration::from_secs(10), rest: 4 }
}

/// The long responses that one caller has under way: each is kept in memory until the caller has read it.
pub(super) const LONG_RESPONSES: ShareLimits =
    ShareLimits { at_once: 4, waiting: 8, max_wait: Duration::from_secs(3), rest: 0 };
