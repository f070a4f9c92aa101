//! What every resolver stands on: the request context, payloads, nodes, projection, filters, pagination, loaders, costs.

pub mod batching;
pub mod context;
pub mod cost;
pub mod credential_use;
pub mod filter;
pub mod loader;
pub mod node;
pub mod pagination;
pub mod payload;
pub mod projection;
