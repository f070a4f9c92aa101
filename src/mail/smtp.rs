//! Mails are given to a mail server, over a connection that may serve several of them.
//!
//! lettre's own pool takes a connection back on which a mail was given up half-way. The next mail would read the answers to
//! the one before, and count as sent when it is not. Here a connection is kept after a success and at no other time.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::{sleep, timeout};

use super::relay::{Authority, Encryption, Relay, tls_with};

/// So many connections wait for the next mail, and so long.
const MOST_IDLE: usize = 4;
const IDLE: Duration = Duration::from_secs(10);
/// How long a connection that has waited may take to show that it still serves.
const PROBE: Duration = Duration::from_secs(3);

/// A mail server, and the connections to it that wait for the next mail; cheap to clone.
#[derive(Clone)]
pub struct Smtp(Arc<Line>);

struct Line {
    relay: Relay,
    tls: TlsParameters,
    /// As whom it greets the server.
    name: ClientId,
    /// For one mail, everything included.
    deadline: Duration,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<(Instant, AsyncSmtpConnection)>,
    is_swept: bool,
}

impl Smtp {
    /// A server that is greeted with the name of a domain, and given so long for each mail.
    ///
    /// # Errors
    /// Where an authority's certificate cannot be used.
    pub fn new(relay: Relay, authority: Option<&Authority>, domain: &str, deadline: Duration) -> Result<Self, String> {
        let tls = tls_with(&relay.host, authority)?;
        let idle = Mutex::default();
        Ok(Self(Arc::new(Line { relay, tls, name: name_of(domain), deadline, idle })))
    }

    /// Gives a mail to the server.
    ///
    /// # Errors
    /// Why the server has not taken it, without our password in it. One that did not say so in time may have taken it all
    /// the same.
    pub async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), String> {
        match timeout(self.0.deadline, self.attempt(envelope, mail)).await {
            Ok(outcome) => outcome.map_err(|error| self.0.reason(&error)),
            Err(_) => Err(format!("the mail server has not taken it within {} s", self.0.deadline.as_secs())),
        }
    }

    async fn attempt(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), Error> {
        let mut connection = match self.kept().await {
            Some(connection) => connection,
            None => self.0.connect().await?,
        };
        connection.send(envelope, mail).await?;
        self.keep(connection);
        Ok(())
    }

    /// A connection that has waited and still serves.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        let (_, mut connection) = self.0.idle().connections.pop()?;
        if timeout(PROBE.min(self.0.deadline / 4), connection.test_connected()).await.unwrap_or(false) {
            return Some(connection);
        }
        // Where one has ended, so have those that wait for longer.
        self.0.idle().connections.clear();
        None
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.0.idle();
        if idle.connections.len() < MOST_IDLE {
            idle.connections.push((Instant::now(), connection));
            if !idle.is_swept {
                idle.is_swept = true;
                tokio::spawn(sweep(Arc::downgrade(&self.0)));
            }
        }
    }
}

impl Line {
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let Relay { host, port, encryption, login } = &self.relay;
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

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections that have waited long enough; none where no more are left to be looked after.
    fn take_old(&self) -> Option<Vec<AsyncSmtpConnection>> {
        let mut idle = self.idle();
        idle.is_swept = !idle.connections.is_empty();
        let old = idle.connections.extract_if(.., |(since, _)| since.elapsed() >= IDLE);
        let old: Vec<_> = old.map(|(_, connection)| connection).collect();
        idle.is_swept.then_some(old)
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

/// Takes leave on connections that no mail has come for.
async fn sweep(line: Weak<Line>) {
    loop {
        sleep(IDLE).await;
        let Some(old) = line.upgrade().and_then(|line| line.take_old()) else { return };
        for mut connection in old {
            // Closed it is either way.
            let _ = timeout(PROBE, connection.abort()).await;
        }
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
