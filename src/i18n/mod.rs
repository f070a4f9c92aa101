//! Languages, and the messages of emails and pages in each of them.

pub mod language;
pub mod messages;
