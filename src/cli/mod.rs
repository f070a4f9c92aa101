//! The command line: the commands of the binary and their settings.

pub mod admin;
pub mod admin_command;
pub mod audit_command;
pub mod bulk;
pub mod config;
pub mod demo;
pub mod demo_command;
pub mod doctor;
pub mod doctor_command;
pub mod documents_command;
pub mod import;
pub mod import_command;
pub mod license;
pub mod license_command;
pub mod migrate_command;
pub mod open;
pub mod output;
mod port;
mod progress;
mod schema;
pub mod schema_command;
pub mod serve;
mod server_url;
mod table;
mod waiting;
