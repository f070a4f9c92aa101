//! Mail to people: what is written in the transaction that causes it, and sent after it.

pub mod carrier;
pub mod letter;
pub mod relay;
pub mod smtp;
