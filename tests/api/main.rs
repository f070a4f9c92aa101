//! What Roster promises, as sentences, through the front door: over HTTP, on every database.

#![cfg(test)]

#[macro_use]
mod app;
#[macro_use]
mod process;
mod browser;
mod command_line;
mod connections;
mod crowd;
mod definition;
mod groups;
mod hostile;
mod http;
mod import;
mod institutions;
mod people;
mod plans;
mod playground;
mod postgres;
mod schema;
mod sessions;
mod toy;
mod wire;
