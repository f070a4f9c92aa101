//! The audit trail in the API.

pub mod query;
