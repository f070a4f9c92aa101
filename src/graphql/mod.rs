//! The foundation of every resolver: request context, payloads, nodes, projection, filters, pagination, positions among the
//! changes, loaders and costs.

pub mod batching;
pub mod context;
pub mod cost;
pub mod credential_use;
pub mod filter;
pub mod list;
pub mod loader;
pub mod node;
pub mod pagination;
pub mod payload;
pub mod position;
pub mod projection;
