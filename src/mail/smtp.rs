//! Mails are given to a mail server, each over a connection of its own: one on which a mail was given up half-way would
//! take the answer to that for the answer to the next.

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

/// A server looks through a mail before it says that it has it: who does not wait for that sends it once more (RFC 5321,
/// section 4.5.3.2.6, asks for ten minutes).
pub const TAKES_LONGER: u32 = 10;
/// How long taking leave of the server may take.
const LEAVE: Duration = Duration::from_secs(3);
/// Authentication required (RFC 4954, section 6): the fault is in our settings, not in the mail.
const AUTHENTICATION_REQUIRED: &str = "530";

/// A mail server; cheap to clone.
#[derive(Clone)]
pub struct Smtp(Arc<Line>);

struct Line {
    relay: SmtpUrl,
    tls: TlsParameters,
    /// As whom it greets the server.
    name: ClientId,
    /// For reaching it, until it is ready for a mail.
    deadline: Duration,
}

impl Smtp {
    /// A server that is greeted with the name of a domain, and is to be reached within so long. For taking a mail it has
    /// [`TAKES_LONGER`] times as long.
    ///
    /// # Errors
    /// Where an authority's certificate cannot be used.
    pub fn new(relay: SmtpUrl, authority: Option<&CustomCa>, domain: &str, deadline: Duration) -> Result<Self, String> {
        let tls = tls_with(&relay.host, authority)?;
        Ok(Self(Arc::new(Line { relay, tls, name: name_of(domain), deadline })))
    }

    /// Gives a mail to the server.
    ///
    /// # Errors
    /// Why the server has not taken it, without our password in it. One that did not say so in time may have taken it all
    /// the same. The error is permanent if the server refuses this mail by a code of 500 or above (RFC 5321, section
    /// 4.2.1); a server that refuses the connection or the login may take the mail later.
    pub async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), SendError> {
        let line = &self.0;
        let connected = line.within(1, "was not ready", line.connect()).await;
        let mut connection = connected.map_err(|error| SendError { is_permanent: false, ..error })?;
        line.within(TAKES_LONGER, "did not accept the email", connection.send(envelope, mail)).await?;
        // The mail is the server's; whatever it says to that changes nothing.
        tokio::spawn(async move { timeout(LEAVE, connection.abort()).await });
        Ok(())
    }
}

impl Line {
    async fn within<T>(
        &self,
        times: u32,
        what: &str,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, SendError> {
        let deadline = self.deadline * times;
        match timeout(deadline, step).await {
            Ok(outcome) => outcome.map_err(|error| {
                let is_refused = error.is_client() || error.is_permanent();
                let is_permanent =
                    is_refused && error.status().is_none_or(|code| code.to_string() != AUTHENTICATION_REQUIRED);
                SendError { reason: self.reason(&error), is_permanent }
            }),
            Err(_) => Err(SendError::passing(format!("the mail server {what} within {} s", deadline.as_secs()))),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let SmtpUrl { host, port, encryption, login } = &self.relay;
        let tls = (*encryption == Encryption::Always).then(|| self.tls.clone());
        // A name may have several addresses, the first of them out of reach.
        let each = Some(self.deadline / 4);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), each, &self.name, tls, None).await?;
        let upgrades = match encryption {
            Encryption::Required => true,
            Encryption::Opportunistic => connection.can_starttls(),
            Encryption::Always | Encryption::Never => false,
        };
        if upgrades {
            connection.starttls(self.tls.clone(), &self.name).await?;
        }
        if let Some(login) = login {
            let credentials = Credentials::new(login.user.clone(), login.password.clone());
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    /// What a server says may repeat what it was told.
    fn reason(&self, error: &Error) -> String {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let mut reason = match error.status() {
            Some(code) => format!("the mail server answers {code} {cause}"),
            None => cause.to_string(),
        };
        if let Some(login) = &self.relay.login {
            let plain = format!("\0{}\0{}", login.user, login.password);
            for secret in [&BASE64_STANDARD.encode(plain), &BASE64_STANDARD.encode(&login.password), &login.password] {
                reason = reason.replace(secret.as_str(), "***");
            }
        }
        reason
    }
}

/// A domain as the name of who greets; an address stands in brackets there.
fn name_of(domain: &str) -> ClientId {
    let literal = domain.trim_start_matches('[').trim_end_matches(']');
    match literal.strip_prefix("IPv6:").unwrap_or(literal).parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(domain.to_owned()),
    }
}
