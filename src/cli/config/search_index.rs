//! Settings of the search index.

use std::path::Path;

use clap::{Args, ValueEnum};

use crate::search_index::SearchIndexFile;

/// The number of users from which the index has a file. Fewer are loaded from the database in two seconds at most.
const MIN_USERS: usize = 250_000;

/// Whether the search index is kept in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SearchIndexFileMode {
    Auto,
    Always,
    Off,
}

/// Settings of the search index.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct SearchIndexSettings {
    /// Whether to keep the search index in a file in the data directory, from which the next start loads it faster: auto, from
    /// 250,000 users on; always; or off, which removes the file.
    #[arg(
        long,
        env = "ROSTER_SEARCH_INDEX_FILE",
        default_value = "auto",
        global = true,
        value_name = "MODE",
        ignore_case = true
    )]
    pub search_index_file: SearchIndexFileMode,
}

impl SearchIndexSettings {
    /// Returns the search index file of a data directory, if there is to be one. Otherwise removes it.
    #[must_use]
    pub fn file_in(&self, data_dir: &Path) -> Option<SearchIndexFile> {
        match self.search_index_file {
            SearchIndexFileMode::Auto => Some(SearchIndexFile::new(data_dir, MIN_USERS)),
            SearchIndexFileMode::Always => Some(SearchIndexFile::new(data_dir, 1)),
            SearchIndexFileMode::Off => {
                SearchIndexFile::new(data_dir, usize::MAX).remove();
                None
            }
        }
    }
}
