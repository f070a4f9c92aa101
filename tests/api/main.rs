//! What Roster promises, as sentences, through the front door: over HTTP, on every database.

#![cfg(test)]

#[macro_use]
mod app;
mod browser;
mod playground;
mod postgres;
mod sessions;
