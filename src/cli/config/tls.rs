//! Settings of TLS.

use std::path::PathBuf;

use clap::Args;

use super::{Listen, Settings};
use crate::http::{Tls, TlsError, TlsFile};

/// Settings of TLS.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct TlsSettings {
    /// PEM file with the certificate of the server and those of its issuers, for TLS without a proxy. Read again on SIGHUP.
    /// [default: none, HTTP without TLS]
    #[arg(long, env = "ROSTER_TLS_CERT", global = true, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --tls-cert. Read again on SIGHUP. [default: none]
    #[arg(long, env = "ROSTER_TLS_KEY", global = true, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

impl TlsSettings {
    /// Returns whether the server speaks TLS.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.tls_cert.is_some() || self.tls_key.is_some()
    }

    /// Returns the setting that names the file of an error, with the reason.
    #[must_use]
    pub fn describe(&self, error: &TlsError) -> String {
        let (flag, file, variable) = match error.file {
            TlsFile::Certificate => ("--tls-cert", &self.tls_cert, "ROSTER_TLS_CERT"),
            TlsFile::Key => ("--tls-key", &self.tls_key, "ROSTER_TLS_KEY"),
        };
        let file = file.as_deref().unwrap_or("".as_ref());
        format!("{flag} {} ({variable}): {error}", file.display())
    }
}

impl Settings {
    /// Reads the certificate and the key, if they are set.
    ///
    /// # Errors
    /// The setting that cannot be used, and the reason.
    pub fn read_tls(&self) -> Result<Option<Tls>, String> {
        match (&self.tls.tls_cert, &self.tls.tls_key) {
            (None, None) => Ok(None),
            (Some(_), None) => Err("--tls-cert (ROSTER_TLS_CERT): requires --tls-key (ROSTER_TLS_KEY)".to_owned()),
            (None, Some(_)) => Err("--tls-key (ROSTER_TLS_KEY): requires --tls-cert (ROSTER_TLS_CERT)".to_owned()),
            (Some(_), Some(_)) if matches!(self.listen, Listen::Unix(_)) => {
                Err("--tls-cert (ROSTER_TLS_CERT): cannot be combined with --listen on a Unix socket".to_owned())
            }
            (Some(certificate), Some(key)) => {
                Tls::read(certificate, key).map(Some).map_err(|error| self.tls.describe(&error))
            }
        }
    }
}
