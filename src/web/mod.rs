//! The HTML pages: those that links in emails open, the playground, and the schema reference.

pub mod pages;
pub mod playground;
pub mod reference;
