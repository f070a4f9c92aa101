//! What is stored: one file for each table. The row is the GraphQL object, and an enum is both the column and the
//! GraphQL enum. Tables with a secret in them show only what they name.

pub mod api_key;
pub mod attribute_definition;
pub mod attribute_value;
pub mod audit_event;
pub mod avatar;
pub mod credential;
pub mod device;
pub mod group;
pub mod institution;
pub mod invitation;
pub mod license;
pub mod link;
pub mod login;
pub mod mail;
pub mod membership;
pub mod pin;
pub mod registration;
pub mod search_hit;
pub mod search_key;
pub mod search_word;
pub mod server_key;
pub mod session;
pub mod site_access;
pub mod subject;
pub mod tombstone;
pub mod user;
