//! Roster, a user directory as a GraphQL API.
//!
//! The modules in reading order, from the outside in; each uses only what stands below it.

// The way in: settings, HTTP, and the application that HTTP serves.
pub mod app;
pub mod config;
pub mod playground;
pub mod server;

// What is done from the command line.
pub mod account;
pub mod demo;
pub mod doctor;
pub mod import;

// The API, merged from the features. No feature uses another; what two of them share is below.
pub mod group;
pub mod institution;
pub mod license;
pub mod node;
pub mod payload;
pub mod schema;
pub mod session;
pub mod user;

// What features stand on.
pub mod access;
pub mod columns;
pub mod context;
pub mod db;
pub mod gather;
pub mod loader;
pub mod page;
pub mod password;

// What is stored, by which rules, in which words.
pub mod entity;
pub mod error;
pub mod form;
pub mod scalar;
pub mod text;
