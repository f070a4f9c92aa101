//! Sessions and devices in the API: everything but the hash of the token.

use async_graphql::{Context, Object};

use crate::entity::{device, session};
use crate::error::located;
use crate::graphql::context::ContextExt;
use crate::scalar::{Id, Instant};

/// A session of a signed-in user. Unless it is ended earlier, it ends at `expiresAt`, or after 12 hours without use
/// by default (a server setting). An open subscription does not count as use. A user can have at most 20 sessions;
/// a further sign-in ends the oldest session.
#[Object(name = "Session")]
impl session::Model {
    /// The session's ID, a UUID. It is not a token.
    pub async fn id(&self) -> Id {
        self.id
    }

    /// The date and time when the user signed in.
    async fn created_at(&self) -> Instant {
        self.created_at.into()
    }

    /// The date and time when the session was last used, updated at most once a minute.
    async fn last_seen_at(&self) -> Instant {
        self.last_seen_at.into()
    }

    /// The date and time when the session ends at the latest: 30 days after the sign-in by default (a server setting).
    async fn expires_at(&self) -> Instant {
        self.expires_at.into()
    }

    /// The first 200 characters of the `User-Agent` header of the sign-in. Null if there was none.
    async fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The IP address from which the user signed in. Null if unknown.
    async fn ip_address(&self) -> Option<&str> {
        self.ip_address.as_deref()
    }

    /// Whether this is the session of the current request.
    async fn is_current(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        located(ctx, async { Ok(ctx.viewer()?.signed_in()?.session_id() == Some(self.id)) }).await
    }
}

/// A device that has signed in with a password and may sign in with a PIN. A user can have at most 20 devices; an
/// additional device replaces the least recently used one.
#[Object(name = "Device")]
impl device::Model {
    /// The device's ID, a UUID. It is not a token.
    pub async fn id(&self) -> Id {
        self.id
    }

    /// The date and time when the device first signed in.
    #[graphql(name = "createdAt")]
    async fn first_used_at(&self) -> Instant {
        self.created_at().into()
    }

    /// The date and time when the device last signed in. The device is forgotten 30 days later.
    async fn last_used_at(&self) -> Instant {
        self.last_used_at.into()
    }
}
