//! Sends emails to a mail server, each over its own connection: on a connection on which an email was given up halfway, the
//! response to it would be taken for the response to the next one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::SendError;
use super::smtp_url::{CustomCa, Encryption, SmtpUrl, tls_with};

/// The factor by which a server may exceed the deadline in accepting an email. Servers inspect an email before they accept it,
/// and a client that does not wait for that sends it again (RFC 5321, section 4.5.3.2.6, asks for ten minutes).
pub const ACCEPT_TIMEOUT_FACTOR: u32 = 10;
/// The timeout of closing the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Authentication required (RFC 4954, section 6): the error is in our settings, not in the email.
const AUTHENTICATION_REQUIRED: &str = "530";

/// A mail server; cheap to clone.
#[derive(Clone)]
pub struct Smtp(Arc<Client>);

struct Client {
    url: SmtpUrl,
    tls: TlsParameters,
    /// The name by which the client introduces itself (EHLO).
    ehlo_name: ClientId,
    /// The time within which the server must be ready for an email.
    deadline: Duration,
}

impl Smtp {
    /// Creates a client that introduces itself with `domain`. The server must be ready within `deadline`, and has
    /// [`ACCEPT_TIMEOUT_FACTOR`] times as long to accept an email.
    ///
    /// # Errors
    /// The certificates of `custom_ca` cannot be used.
    pub fn new(url: SmtpUrl, custom_ca: Option<&CustomCa>, domain: &str, deadline: Duration) -> Result<Self, String> {
        let tls = tls_with(&url.host, custom_ca)?;
        Ok(Self(Arc::new(Client { url, tls, ehlo_name: client_id(domain), deadline })))
    }

    /// Sends an email to the server.
    ///
    /// # Errors
    /// The reason why the server has not accepted it, without our password. After a timeout, the server may still have accepted
    /// it. The error is permanent if the server rejects this email with a code of 500 or above (RFC 5321, section 4.2.1); if it
    /// rejects the connection or the login, it may accept the email later.
    pub async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), SendError> {
        let client = &self.0;
        let connected = client.with_timeout(1, "was not ready", client.connect()).await;
        let mut connection = connected.map_err(|error| SendError { is_permanent: false, ..error })?;
        client.with_timeout(ACCEPT_TIMEOUT_FACTOR, "did not accept the email", connection.send(envelope, mail)).await?;
        // The server has accepted the email; its response to QUIT does not matter.
        tokio::spawn(async move { timeout(CLOSE_TIMEOUT, connection.abort()).await });
        Ok(())
    }
}

impl Client {
    async fn with_timeout<T>(
        &self,
        factor: u32,
        what: &str,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, SendError> {
        let deadline = self.deadline * factor;
        match timeout(deadline, operation).await {
            Ok(outcome) => outcome.map_err(|error| {
                let is_rejected = error.is_client() || error.is_permanent();
                let is_permanent =
                    is_rejected && error.status().is_none_or(|code| code.to_string() != AUTHENTICATION_REQUIRED);
                SendError { reason: self.reason(&error), is_permanent }
            }),
            Err(_) => Err(SendError::temporary(format!("the mail server {what} within {} s", deadline.as_secs()))),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let SmtpUrl { host, port, encryption, login } = &self.url;
        let tls = (*encryption == Encryption::Always).then(|| self.tls.clone());
        // A host name may have several addresses, and the first ones may be unreachable.
        let timeout = Some(self.deadline / 4);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), timeout, &self.ehlo_name, tls, None).await?;
        let upgrades = match encryption {
            Encryption::Required => true,
            Encryption::Opportunistic => connection.can_starttls(),
            Encryption::Always | Encryption::Never => false,
        };
        if upgrades {
            connection.starttls(self.tls.clone(), &self.ehlo_name).await?;
        }
        if let Some(login) = login {
            let credentials = Credentials::new(login.user.clone(), login.password.clone());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    /// Returns the reason of an error without our credentials, which a server may quote.
    fn reason(&self, error: &Error) -> String {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let mut reason = match error.status() {
            Some(code) => format!("the mail server answers {code} {cause}"),
            None => cause.to_string(),
        };
        if let Some(login) = &self.url.login {
            let plain = format!("\0{}\0{}", login.user, login.password);
            for secret in [&BASE64_STANDARD.encode(plain), &BASE64_STANDARD.encode(&login.password), &login.password] {
                reason = reason.replace(secret.as_str(), "***");
            }
        }
        reason
    }
}

/// Returns a domain as a client name; an address is written in brackets there.
fn client_id(domain: &str) -> ClientId {
    let literal = domain.trim_start_matches('[').trim_end_matches(']');
    match literal.strip_prefix("IPv6:").unwrap_or(literal).parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(domain.to_owned()),
    }
}
