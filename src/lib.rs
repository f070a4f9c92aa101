//! Roster, a user directory served as a GraphQL API.
//!
//! Each module uses only modules of the lines below its own; `tests/api/layout.rs` checks this. The SQL of the tables is in the
//! crate `migration`, and the guides in `docs/adding-a-*.md` and `docs/adding-more.md` name the files of each kind of change.
//!
//! - [`cli`]: the commands of the binary and their settings
//! - [`metrics`]: gathers the metrics of the parts of the server, for Prometheus
//! - [`backup`]: backups of the whole directory; [`app`]: the application behind HTTP; [`schema`]: the API, merged from the features
//! - [`import`]: imports of files and of the rows of a request, by the rules of the features
//! - the features [`user`], [`group`], [`institution`], [`site_access`], [`license`], [`attribute`], [`session`], [`api_key`],
//!   [`audit_event`], [`change`] and [`document`]: in each, `mod.rs` has the rules, one transaction for each mutation (in `user/`
//!   and `session/`, a file for each subject); `input.rs`, `query.rs` and `mutation.rs` are its API (in `user/`, also `filter.rs`
//!   and `order.rs`). `session/` has what changes how a user signs in or out, `user/` the record of a user. No feature imports
//!   another
//! - [`graphql`]: what all resolvers share, from the request context to pagination and costs; [`web`]: the pages that links in
//!   emails open, the playground, and the schema reference; [`startup`]: opens and migrates the database
//! - [`mail`]: the email queue and its worker; [`ownership`]: the next owner of groups that lose their last one; [`export`]: rows as
//!   JSON, and the file with all data about a user
//! - [`attribute_values`]: the values of custom attributes; [`search_index`]: users by their names and addresses, in memory
//! - [`auth`]: passwords and the formats of their hashes, tokens, one-time links, throttling, redirects, the server keys
//! - [`audit`]: the audit trail: each change is committed together with its events, in a verifiable hash chain
//! - [`actor`]: begins each mutation's transaction with the viewer locked and read again; [`avatar`]: processes and stores images
//! - [`access`]: every decision on who may see and change what, and the action of each root field; [`login`]: usernames and email
//!   addresses, one namespace
//! - [`entity`]: a file for each table: the row, which is also the GraphQL object, the input fields with their rules, the enums, and
//!   which columns of a user are private
//! - [`http`]: the server, its limits, deadlines and responses, independent of the features
//! - [`validation`]: checks of input; [`db`]: SQLite or PostgreSQL behind one interface
//! - [`budget`]: limits of one request; [`share`]: limits of one caller; [`background`]: low-priority threads for long work
//! - [`client`]: the sender of a request; [`i18n`]: languages and messages; [`private_file`]: files that only their owner can read
//! - [`scalar`], [`text`]: IDs, dates and other scalars; the forms in which text is compared
//! - [`error`]: errors and their codes
//! - [`measure`]: gauges and histograms for metrics; [`repeated`]: recurring log messages; [`trace`]: traces of requests

pub mod access;
pub mod actor;
pub mod api_key;
pub mod app;
pub mod attribute;
pub mod attribute_values;
pub mod audit;
pub mod audit_event;
pub mod auth;
pub mod avatar;
pub mod background;
pub mod backup;
pub mod budget;
pub mod change;
pub mod cli;
pub mod client;
pub mod db;
pub mod document;
pub mod entity;
pub mod error;
pub mod export;
pub mod graphql;
pub mod group;
pub mod http;
pub mod i18n;
pub mod import;
pub mod institution;
pub mod license;
pub mod login;
pub mod mail;
pub mod measure;
pub mod metrics;
pub mod ownership;
pub mod private_file;
pub mod repeated;
pub mod scalar;
pub mod schema;
pub mod search_index;
pub mod session;
pub mod share;
pub mod site_access;
pub mod startup;
pub mod text;
pub mod trace;
pub mod user;
pub mod validation;
pub mod web;
