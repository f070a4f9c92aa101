//! Backups of the whole directory as one file, and how they are restored and verified.
//!
//! A backup is made while the server runs, and contains what was committed at one moment. It contains no sessions, devices, links
//! or pending registrations, so none of them is valid after a backup is restored.

mod archive;
mod contents;
pub mod create;
pub mod directory;
mod encryption;
pub mod last_served;
pub mod manifest;
pub mod metrics;
mod postgres;
mod postgres_programs;
pub mod read;
pub mod restore;
mod sqlite;
pub mod verify;
mod work_dir;

pub use age::secrecy::SecretString;
use anyhow::Context as _;
use tokio::sync::oneshot;

pub use self::manifest::{DatabaseKind, Manifest};
pub use self::work_dir::left_over_in;

/// The tables of which a backup has no rows: what lets somebody in, or may, and what only holds for the servers that run.
pub const WITHOUT_ROWS: [&str; 5] = ["devices", "links", "registrations", "server_key_reports", "sessions"];

/// Runs work that reads and writes files on a thread of its own, which has the priority of this one. It does not keep the process
/// from ending, as a blocking task of tokio would.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    let (send, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("backup".to_owned());
    thread.spawn(move || {
        // Nobody may wait any more.
        let _ = send.send(work());
    })?;
    result.await.context("the thread of the backup has ended")?
}
