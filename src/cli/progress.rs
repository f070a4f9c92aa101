//! The progress bar of long-running commands.

use indicatif::{ProgressBar, ProgressStyle};

pub(super) fn progress_bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
