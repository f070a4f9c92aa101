//! What is stored: one file for each table. The row is the GraphQL object, and an enum is both the column and the
//! GraphQL enum. Tables with a secret in them show only what they name.

pub mod credential;
pub mod group;
pub mod institution;
pub mod license;
pub mod membership;
pub mod server_key;
pub mod session;
pub mod user;
