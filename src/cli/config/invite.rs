//! The options of invitations.

use clap::Args;

use crate::i18n::language::Language;

/// Options of `roster invite`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("invited").required(true).args(["never_invited"]))]
pub struct Invite {
    /// Invite every active user with an email address who was never invited, has no password and has never signed in.
    #[arg(long)]
    pub never_invited: bool,
    /// Number of the license. Required only if there are several licenses.
    #[arg(long, value_name = "NUMBER")]
    pub license: Option<String>,
    /// Number of emails that are sent in a minute, from 1 to 6,000.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=6_000))]
    pub per_minute: u32,
    #[arg(help = format!("Language of the emails to users who have not chosen one: {}", tags()))]
    #[arg(long, value_name = "TAG", default_value = Language::default().tag(), value_parser = language)]
    pub language: Language,
    /// List the users without inviting them.
    #[arg(long)]
    pub dry_run: bool,
}

fn language(tag: &str) -> Result<Language, String> {
    Language::of_tag(tag).ok_or_else(|| format!("expected one of {}", tags()))
}

/// Returns the tags of all languages, for messages.
fn tags() -> String {
    Language::ALL.map(Language::tag).join(", ")
}
