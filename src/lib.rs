//! Roster, a user directory as a GraphQL API. The map, in reading order: from the outside in, and each module uses only
//! what stands below it.
//!
//! The way in:
//! - [`config`] has every setting, its flag, variable and default; the command line itself is `main.rs`
//! - [`app`] is what HTTP serves: who is asking, and what resolvers need to answer; [`credential_use`] counts the mutations of
//!   a request that compute with secrets
//! - [`cost`] tells what a document may cost before it is run, [`budget`] counts what a request takes while it is answered,
//!   [`selection`] has the fields that a document selects
//! - [`server`] is HTTP: one request at a time, its limits, deadlines and answers
//! - [`playground`] is `GraphiQL`, every byte of it in the binary; [`pages`] are those that links lead to
//!
//! What is done from the command line:
//! - [`demo`] makes a hospital group, [`import`] loads real people, [`account`] makes the first administrator, [`doctor`]
//!   says how everything is set
//!
//! The API, merged in [`schema`] from the features, with [`introspection`] of what it is. No feature uses another; what two
//! of them share is below:
//! - [`user`], [`group`], [`institution`], [`site_access`], [`license`], [`attribute`], [`session`], [`api_key`]: in each,
//!   `mod.rs` is what can be done, by which rules and in one transaction; `query.rs` and `mutation.rs` are how the API shows it
//! - [`audit`] is what all of them commit by: each write with its event, in a chain that can be verified
//! - [`node`] finds whatever has an id; [`payload`] is the typed outcome of a mutation
//!
//! What features stand on:
//! - [`context`] is what a resolver may ask for
//! - [`access`] decides who may see and change what, all of it
//! - [`actor`] begins the transaction of each mutation: it locks and reads again who asks for it
//! - [`credential`] has what a person proves by who he is, [`token`] and [`link`] two kinds of it, [`attempt`] counts
//!   wrong ones; [`registration`] is who wants to be entered, [`next_url`] where people may be sent on to; [`profile`] has
//!   what a person is by the attributes that a license defines
//! - [`ownership`] finds another owner for groups that lose their last one
//! - [`mail`] is written in the transaction that causes it, and sent after it; [`words`] are what is said to people in mails
//!   and on pages, in each [`language`]
//! - [`avatar`] makes pictures of files, and keeps them
//! - [`word_index`] keeps the words that people are searched by, with each change of a person
//! - [`login`] keeps usernames and e-mail addresses apart, which are one namespace
//! - [`loader`] has the links between tables, [`gather`] runs them, [`page`] reads a keyset page of any table,
//!   [`columns`] only what is shown of a row; [`filter`] makes conditions of comparisons
//! - [`client_network`] says by what limits tell clients apart that have not signed in
//! - [`password`] hashes apart from everything else, with a [`key`] that lies outside the database, and reads the hashes of other
//!   systems; [`share`] bounds what one caller has under way; [`db`] is SQLite or PostgreSQL behind the same few calls;
//!   [`private_file`] makes files that only their owner reads
//!
//! What is stored, by which rules, in which words:
//! - [`entity`] has a file for each table: the row, which is also what the API shows, and what may be given for it
//! - [`form`] reads input and collects its faults; [`text`] has the forms in which text is compared, [`sql`] conditions that
//!   every database understands alike; [`scalar`] the types of ids, dates, addresses and files; [`error`] what can go wrong;
//!   [`etag`] tells what a caller already has

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
pub mod budget;
pub mod cli;
pub mod client;
pub mod db;
pub mod entity;
pub mod error;
pub mod graphql;
pub mod group;
pub mod http;
pub mod i18n;
pub mod institution;
pub mod license;
pub mod login;
pub mod mail;
pub mod ownership;
pub mod private_file;
pub mod scalar;
pub mod schema;
pub mod search_index;
pub mod session;
pub mod share;
pub mod site_access;
pub mod startup;
pub mod text;
pub mod user;
pub mod validation;
pub mod web;
