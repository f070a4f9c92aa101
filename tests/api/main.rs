//! The behaviour of Roster over HTTP, on every database.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "tests write to the database directly")]

#[macro_use]
mod app;
#[macro_use]
mod process;
mod accounts;
mod actor;
mod attributes;
mod audit;
mod author;
mod avatars;
mod bounds;
mod browser;
mod carrier;
mod changes;
mod columns;
mod command_line;
mod connections;
mod contract;
mod crowd;
mod database;
mod definition;
mod demo;
mod docs;
mod documents;
mod durability;
mod event_streams;
mod filters;
mod foreign_files;
mod foreign_hashes;
mod groups;
mod guesses;
mod hostile;
mod http;
mod import;
mod instances;
mod institutions;
mod key;
mod layout;
mod licenses;
mod lists;
mod logins;
mod mail;
mod matrix;
mod names;
mod node;
mod pages;
mod people;
mod plans;
mod playground;
mod postgres;
mod proxies;
mod ranking;
mod replay;
mod resolve;
mod rights;
mod schema;
mod sealing;
mod search;
mod sessions;
mod shared_commits;
mod sign_in;
mod sites;
mod smtp;
mod specification;
mod sse;
mod statements;
mod toy;
mod upgrade;
mod user_fields;
mod user_filter;
mod wire;
mod words;
mod work;
