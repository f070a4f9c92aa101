//! The URL of the server, recorded in its data directory when it starts: commands that make links run in another process.

use super::config::Settings;
use super::open::DATA_DIR;
use crate::private_file;

const FILE: &str = "roster.url";

/// Records the URL at which users reach the server. Without a data directory, nothing is recorded.
pub(super) fn record(settings: &Settings, default_dir: &str, url: &str) {
    let dir = settings.data_dir(default_dir);
    if !dir.is_dir() {
        return;
    }
    let file = dir.join(FILE);
    private_file::restrict(&file);
    if let Err(error) = private_file::write(&file, url.as_bytes()) {
        tracing::debug!(%error, "failed to record the URL of the server");
    }
}

/// Returns the URL at which users reach the server: the one that is set, or the one that the last start recorded; `None` if only
/// the default is left.
pub(super) fn find(settings: &Settings) -> Option<String> {
    settings.url_if_set().or_else(|| {
        let recorded = std::fs::read_to_string(settings.data_dir(DATA_DIR).join(FILE)).ok()?;
        url::Url::parse(&recorded).is_ok().then_some(recorded)
    })
}
