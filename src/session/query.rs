//! Sessions and devices as the API shows them: everything but the token's hash.

use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};

use crate::entity::{device, session};
use crate::error::located;
use crate::graphql::context::ContextExt;
use crate::scalar::Id;

/// A sign-in that lasts until it is ended, or unused for too long.
#[Object(name = "Session")]
impl session::Model {
    /// The session's id, a UUID. It is no token.
    pub async fn id(&self) -> Id {
        self.id
    }

    /// When the person signed in.
    async fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    /// When it was last used, to the minute.
    async fn last_seen_at(&self) -> DateTime<Utc> {
        self.last_seen_at
    }

    /// When it ends at the latest.
    async fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }

    /// The program that signed in, in its own words.
    async fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// The network address that it was signed in from.
    async fn ip_address(&self) -> Option<&str> {
        self.ip_address.as_deref()
    }

    /// Whether this is the session that asks.
    async fn is_current(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        located(ctx, async { Ok(ctx.viewer()?.signed_in()?.session_id() == Some(self.id)) }).await
    }
}

/// A device that has signed in with a password, and may sign in with a PIN.
#[Object(name = "Device")]
impl device::Model {
    /// The device's id, a UUID. It is not a token.
    pub async fn id(&self) -> Id {
        self.id
    }

    /// When the device first signed in.
    #[graphql(name = "createdAt")]
    async fn first_used_at(&self) -> DateTime<Utc> {
        self.created_at()
    }

    /// When the device last signed in. It is forgotten 30 days later.
    async fn last_used_at(&self) -> DateTime<Utc> {
        self.last_used_at
    }
}
