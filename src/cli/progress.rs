//! The progress bar of long-running commands.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

pub(super) fn progress_bar(length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // A command that fails or is stopped shows its error alone.
    ProgressBar::new(length).with_style(style).with_finish(ProgressFinish::AndClear)
}
