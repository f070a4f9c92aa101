//! Settings of outgoing emails.

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use lettre::Address;
use lettre::message::Mailbox;
use url::{Host, Url};

use super::Settings;
use super::secret::Secret;
use crate::mail::smtp::{self, Smtp};
use crate::mail::smtp_url::{CustomCa, SmtpUrl};
use crate::mail::transport::{self, Destination, Transport};

/// Settings of outgoing emails.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct Mail {
    #[arg(
        help = "URL of the mail server: smtps://user:password@host:465, or smtp://user:password@host:587 with STARTTLS, which \
                ?tls=opportunistic makes optional and ?tls=none turns off [default: none, emails are written to mail in the \
                data directory]"
    )]
    #[arg(long, env = "ROSTER_SMTP_URL", global = true, value_name = "URL",
          value_parser = Secret::value(smtp_url), hide_env_values = true)]
    pub smtp_url: Option<SmtpUrl>,
    /// File that holds the URL of the mail server, instead of --smtp-url. Keeps the password out of the list of processes.
    /// [default: none]
    #[arg(long = "smtp-url-file", env = "ROSTER_SMTP_URL_FILE", global = true, value_name = "FILE",
          value_parser = Secret::in_file(smtp_url), conflicts_with = "smtp_url")]
    pub smtp_url_in_file: Option<SmtpUrl>,
    /// PEM file with the certificates of an authority to trust for the mail server, in addition to the public ones.
    /// [default: none]
    #[arg(long, env = "ROSTER_SMTP_CA", global = true, value_name = "FILE", value_parser = CustomCa::read)]
    pub smtp_ca: Option<CustomCa>,
    /// Seconds within which the mail server must be ready for an email. It has ten times as long to accept the email.
    #[arg(long, env = "ROSTER_SMTP_SECONDS", default_value_t = 60, global = true, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub smtp_seconds: u64,
    #[arg(help = "Sender of emails: Roster <roster@example.org>, or only the address \
                [default: Roster <roster@HOST>, with the host of the public URL]")]
    #[arg(long, env = "ROSTER_MAIL_FROM", global = true, value_name = "ADDRESS", value_parser = transport::sender)]
    pub mail_from: Option<Mailbox>,
}

impl Mail {
    /// Returns the URL of the mail server, if one is set.
    #[must_use]
    pub fn smtp_url(&self) -> Option<&SmtpUrl> {
        self.smtp_url.as_ref().or(self.smtp_url_in_file.as_ref())
    }
}

impl Settings {
    /// Returns the transport of emails: the mail server, or files in a folder if no server is set.
    ///
    /// # Errors
    /// The setting that cannot be used, and the reason.
    pub fn mail_transport(&self, default_dir: &str, public_url: &str) -> Result<Transport, String> {
        let from = self.mail_from(public_url);
        let destination = match self.mail.smtp_url() {
            Some(url) => {
                let deadline = Duration::from_secs(self.mail.smtp_seconds);
                let smtp = Smtp::new(url.clone(), self.mail.smtp_ca.as_ref(), from.email.domain(), deadline);
                Destination::Smtp(smtp.map_err(|error| format!("--smtp-ca (ROSTER_SMTP_CA): {error}"))?)
            }
            None => Destination::Folder(self.mail_dir(default_dir)),
        };
        Ok(Transport::new(from, destination))
    }

    /// Returns the longest time that sending one email may take.
    #[must_use]
    pub fn max_send_duration(&self) -> TimeDelta {
        TimeDelta::seconds(i64::try_from(self.mail.smtp_seconds).unwrap_or(i64::MAX))
            * (1 + smtp::ACCEPT_TIMEOUT_FACTOR.cast_signed())
    }

    /// Returns the folder to which emails are written if no mail server is set.
    #[must_use]
    pub fn mail_dir(&self, default_dir: &str) -> PathBuf {
        self.data_dir(default_dir).join("mail")
    }

    /// Returns the sender of emails. Its default has the host of the public URL, or `localhost` if an email address cannot have
    /// that host.
    #[must_use]
    pub fn mail_from(&self, public_url: &str) -> Mailbox {
        let default_address = || match Url::parse(public_url).ok()?.host()? {
            Host::Domain(name) => Address::new("roster", name.trim_end_matches('.')).ok(),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        };
        self.mail.mail_from.clone().unwrap_or_else(|| {
            let address = default_address().unwrap_or_else(|| Address::new_dangerous("roster", "localhost"));
            Mailbox::new(Some("Roster".to_owned()), address)
        })
    }
}

fn smtp_url(text: &str) -> Result<SmtpUrl, String> {
    SmtpUrl::parse(text).map_err(str::to_owned)
}
