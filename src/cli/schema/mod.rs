//! What `roster schema` does besides printing the schema: lists changes, checks operations, and introspects.

mod definition;
pub mod diff;
mod fragments;
pub mod introspection;
pub mod operations;
pub mod report;
