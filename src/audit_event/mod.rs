//! Audit events: the API of the audit trail.

pub mod query;
