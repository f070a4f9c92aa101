//! Roster, the user directory as a GraphQL API.

pub mod import;
pub mod schema;
pub mod node;
pub mod user;
pub mod group;
pub mod institution;
pub mod license;
pub mod session;
pub mod payload;
pub mod context;
pub mod access;
pub mod loader;
pub mod page;
pub mod db;
pub mod password;
pub mod form;
pub mod text;
pub mod scalar;
pub mod error;
pub mod entity;
