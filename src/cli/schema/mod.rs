//! The tasks of `roster schema` besides printing the schema: it lists changes, checks operations, and introspects.

mod definition;
pub mod diff;
mod fragments;
pub mod introspection;
pub mod operations;
pub mod report;
mod unique;
