//! The options of `roster license`.

use clap::{Args, Subcommand, ValueEnum};

use crate::scalar::Date;

/// Manage licenses.
#[derive(Debug, Subcommand)]
pub enum License {
    /// Create a license.
    Create(LicenseCreate),
    /// Change or remove the last day of a license. Takes effect at once, also on a running server.
    Extend(LicenseExtend),
    /// Change the number or the holder of a license. Takes effect at once, also on a running server.
    Rename(LicenseRename),
    /// List all licenses: number, holder, kind, first and last day, whether expired, and number of users.
    List,
}

/// Options of `roster license create`.
#[derive(Debug, Args)]
pub struct LicenseCreate {
    /// Unique number of the license, at most 50 characters.
    #[arg(long)]
    pub number: String,
    /// Holder of the license, at most 200 characters.
    #[arg(long)]
    pub holder: String,
    /// Kind of holder: commercial for an organization, private for an individual or a household.
    #[arg(long, default_value = "commercial")]
    pub kind: LicenseKindArgument,
    /// First day on which the license is valid (UTC). Before it, users of the license cannot sign in. [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub starts_on: Option<Date>,
    /// Last day on which the license is valid (UTC). [default: none, the license never expires]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub expires_on: Option<Date>,
}

/// Options of `roster license extend`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("end").required(true).args(["expires_on", "no_end"]))]
pub struct LicenseExtend {
    /// Number of the license.
    #[arg(long)]
    pub number: String,
    /// New last day on which the license is valid (UTC).
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub expires_on: Option<Date>,
    /// Remove the last day: the license never expires.
    #[arg(long)]
    pub no_end: bool,
}

/// Options of `roster license rename`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["new_number", "holder"]))]
pub struct LicenseRename {
    /// Number of the license.
    #[arg(long)]
    pub number: String,
    /// New number of the license, unique, at most 50 characters.
    #[arg(long, value_name = "NUMBER")]
    pub new_number: Option<String>,
    /// New holder of the license, at most 200 characters.
    #[arg(long)]
    pub holder: Option<String>,
}

/// The kind of holder of a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LicenseKindArgument {
    Commercial,
    Private,
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| "expected a date, such as 2027-12-31".to_owned())
}
