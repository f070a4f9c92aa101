//! Entities: one file for each table. A row is also the GraphQL object, and an enum is both the type of a column and the GraphQL
//! enum. Secrets, such as the hashes of tokens, are not fields of these objects.

pub mod api_key;
pub mod attribute_definition;
pub mod attribute_value;
pub mod audit_event;
pub mod audit_inbox;
pub mod avatar;
pub mod credential;
pub mod device;
pub mod document_revision;
pub mod erased_reference;
pub mod external_reference;
pub mod group;
pub mod group_reference;
pub mod institution;
pub mod institution_reference;
pub mod invitation;
pub mod license;
pub mod link;
pub mod list_total;
pub mod login;
pub mod mail;
pub mod membership;
pub mod other_server_key;
pub mod pin;
pub mod registration;
pub mod server_key;
pub mod server_key_report;
pub mod session;
pub mod site_access;
pub mod subject;
pub mod tombstone;
pub mod trusted_document;
pub mod user;
pub mod user_reference;
pub mod versioned;
