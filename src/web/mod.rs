//! The HTML pages: those that links in emails lead to, the playground, and the reference of the schema.

pub mod pages;
pub mod playground;
pub mod reference;
