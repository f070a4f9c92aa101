//! The options of imports and exports.

use std::path::PathBuf;

use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use encoding_rs::Encoding;

use crate::import::{Fix, Format, KeepEdits, NewInstitutions, Preset, parse_date_form, parse_zone};

/// Options of `roster import`.
#[derive(Debug, Args)]
pub struct Import {
    /// File to import: newline-delimited JSON, JSON, CSV, TSV, LDIF, or an export of Django, Keycloak or SCIM, also compressed with
    /// gzip. `-` reads standard input. Several files are imported one after the other, and none if a row of one is invalid. A user
    /// whose password hash cannot be used is imported without it.
    #[arg(required_unless_present = "print_mapping", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Format of the file. [default: found out by the content]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Encoding of the file, such as windows-1252. [default: UTF-8, or UTF-16 if the content shows it]
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// System that the file comes from, whose columns have a built-in mapping.
    #[arg(long, value_enum, value_name = "SYSTEM")]
    pub from: Option<Preset>,
    /// TOML file that maps columns to fields. Start with that of a system: --from SYSTEM --print-mapping.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub mapping: Option<PathBuf>,
    /// Print the mapping of --from and exit.
    #[arg(long, requires = "from")]
    pub print_mapping: bool,
    /// Name of the system whose ids the file has: users are matched by their external references to it. [default: that of the
    /// mapping]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Zone of times without an offset from UTC, such as Europe/Rome.
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    pub time_zone: Option<Tz>,
    /// Form of dates besides 1980-07-08, as in strftime: %d/%m/%Y. May be given several times.
    #[arg(long, value_name = "FORM", value_parser = parse_date_form)]
    pub date_format: Vec<String>,
    /// Create the institutions that users name and that do not exist, all of this kind and in this country:
    /// `CARE_HOME/AU`.
    #[arg(long, value_name = "KIND/COUNTRY")]
    pub create_institutions: Option<NewInstitutions>,
    /// Define the custom attributes that users have and that do not exist.
    #[arg(long)]
    pub define_attributes: bool,
    /// Check every row without writing anything.
    #[arg(long)]
    pub dry_run: bool,
    /// Reaction to a row that is invalid: import nothing, or leave the row out.
    #[arg(long, value_enum, default_value = "stop")]
    pub on_error: OnError,
    /// Leave out values by these rules, separated by commas, instead of refusing their rows. May be given several times.
    #[arg(long, value_enum, value_name = "RULE", value_delimiter = ',')]
    pub fix: Vec<Fix>,
    /// Write the outcome of each row to FILE, a CSV table with every error.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the invalid rows to FILE, so that they can be corrected and imported. Not with a file of several licenses.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Fields that keep the values that they were given here, whatever the file says: those that users edited themselves, all that
    /// anybody edited, or none.
    #[arg(long, value_enum, default_value = "own")]
    pub keep_edits: KeepEdits,
    /// Activate users who were deactivated here and are active in the file.
    #[arg(long)]
    pub reactivate: bool,
    /// The file is complete: deactivate users who are missing in it. If its ids are those of a --source, only users of that source
    /// count. Superusers and license administrators stay.
    #[arg(long)]
    pub full: bool,
    /// Share of the active users that may be missing in a complete file. With more, nothing is imported.
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = percent, requires = "full")]
    pub max_leavers: u64,
    /// Directory of the pictures that rows refer to.
    #[arg(long, value_name = "DIR")]
    pub avatar_dir: Option<PathBuf>,
    /// Number of the license to import into. [default: that of the file, or the only one]
    #[arg(long, value_name = "NUMBER")]
    pub license: Option<String>,
    /// Holder of the first license, if this import creates it. [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub holder: Option<String>,
}

/// The way to deal with an invalid row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Import nothing.
    Stop,
    /// Leave the row out.
    Skip,
}

/// Options of `roster export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Number of the license to export. Required only if there are several licenses. May be given several times: ndjson can have
    /// several licenses, and an import creates all of them.
    #[arg(long, value_name = "NUMBER")]
    pub license: Vec<String>,
    /// Export everything about one user instead, for a request by that user: one JSON object, without hashes and without data of
    /// others.
    #[arg(
        long,
        value_name = "ID|USERNAME|EMAIL",
        conflicts_with_all = ["license", "format", "with_secrets", "with_audit", "no_avatars", "avatar_dir", "base_dn"]
    )]
    pub user: Option<String>,
    /// Format of the output. Only ndjson has everything, and can be imported again as it was.
    #[arg(long, value_enum, default_value = "ndjson")]
    pub format: ExportFormat,
    /// File to write, which only its owner can read. `-` writes to standard output.
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Include the hashes of passwords and PINs; in LDIF, only the password hashes of other systems. Not in SCIM. Those that Roster
    /// made work only with the same server key.
    #[arg(long)]
    pub with_secrets: bool,
    /// Include the audit trail. ndjson only; an import leaves it out.
    #[arg(long)]
    pub with_audit: bool,
    /// Leave out the pictures of users.
    #[arg(long, conflicts_with = "avatar_dir")]
    pub no_avatars: bool,
    /// Write the pictures of users to files in DIR instead of the output. ndjson only.
    #[arg(long, value_name = "DIR")]
    pub avatar_dir: Option<PathBuf>,
    /// Base of the distinguished names of LDIF.
    #[arg(long, value_name = "DN", default_value = "o=roster", value_parser = distinguished_name)]
    pub base_dn: String,
}

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Newline-delimited JSON with everything.
    Ndjson,
    /// A table of the users.
    Csv,
    /// A SCIM 2.0 `ListResponse` with users, groups and institutions.
    Scim,
    /// Users, groups and institutions as LDAP entries.
    Ldif,
}

fn encoding(label: &str) -> Result<&'static Encoding, String> {
    let found = Encoding::for_label_no_replacement(label.as_bytes());
    found.ok_or_else(|| "expected the name of an encoding, such as windows-1252 or utf-16".to_owned())
}

fn percent(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse().ok();
    number.filter(|number| *number <= 100).ok_or_else(|| "expected a percentage, such as 5%".to_owned())
}

fn distinguished_name(text: &str) -> Result<String, String> {
    let is_attribute = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| !name.trim().is_empty() && !value.trim().is_empty())
    };
    let is_valid = text.replace("\\,", "_").split(',').all(is_attribute);
    let expected = || "expected a distinguished name, such as dc=example,dc=org".to_owned();
    is_valid.then(|| text.to_owned()).ok_or_else(expected)
}
