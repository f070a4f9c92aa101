//! The HTML pages: those that links in emails lead to, and the playground.

pub mod pages;
pub mod playground;
