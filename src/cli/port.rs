//! The port or Unix socket of the server: bound first, and opened when everything else has been checked.

use anyhow::Context as _;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::backup_schedule::Schedule;
use super::config::{Listen, Settings};
use super::open::{DATA_DIR, WrongSetting};
use super::reload;
use crate::http::{self, BoundSocket, Listener, Tls};

/// The flag and the variable of a setting.
type Setting = (&'static str, &'static str);

const LISTEN: Setting = ("--listen", "ROSTER_LISTEN");
pub(super) const METRICS_LISTEN: Setting = ("--metrics-listen", "ROSTER_METRICS_LISTEN");

/// The ports of a server. Nobody can connect to them until everything else has been checked.
pub(super) struct Ports {
    pub(super) public: Port,
    pub(super) metrics: Option<BoundSocket>,
    /// The certificate and the key of the public port, if it speaks TLS.
    pub(super) tls: Option<Tls>,
}

impl Ports {
    /// Binds the ports.
    pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        check_public_url(settings)?;
        Schedule::of(settings, DATA_DIR)?;
        let tls = settings.read_tls().map_err(WrongSetting)?;
        let public = Port::Bound(bind_to(&settings.listen, LISTEN).await?);
        let metrics = match &settings.metrics_listen {
            Some(listen) => Some(bind_to(listen, METRICS_LISTEN).await?),
            None => None,
        };
        if let Some(tls) = &tls {
            reload::on_hangup(tls.clone(), settings.tls.clone())?;
        }
        Ok(Self { public, metrics, tls })
    }
}

async fn bind_to(listen: &Listen, setting: Setting) -> anyhow::Result<BoundSocket> {
    let described = || describe(listen, setting);
    #[cfg(unix)]
    if let Listen::Unix(path) = listen {
        return http::bind_unix(path).with_context(described);
    }
    let addresses = listen.resolve().await.map_err(|error| WrongSetting(format!("{}: {error}", described())))?;
    let mut last_error = None;
    for address in addresses {
        match http::bind(address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = Some(error),
        }
    }
    let no_address = || std::io::Error::other("the host name has no address");
    Err(last_error.unwrap_or_else(no_address)).with_context(described)
}

/// Starts to accept connections.
pub(super) fn listen_on(socket: BoundSocket, listen: &Listen, setting: Setting) -> anyhow::Result<Listener> {
    http::listen(socket).with_context(|| describe(listen, setting))
}

fn describe(listen: &Listen, (flag, variable): Setting) -> String {
    format!("{flag} {listen} ({variable})")
}

/// The port or Unix socket of the server.
pub(super) enum Port {
    /// Nobody can connect to it yet.
    Bound(BoundSocket),
    /// The system keeps connections until they are accepted. `stopped` resolves when the process is told to stop.
    Open { listener: Listener, stopped: BoxFuture<'static, ()> },
}

impl Port {
    /// Returns where the server listens: the address with the port that the system has chosen, or the path that is set.
    pub(super) fn listen(&self, settings: &Settings) -> std::io::Result<Listen> {
        let address = match self {
            Self::Bound(socket) => socket.local_addr()?,
            Self::Open { listener, .. } => listener.local_addr(),
        };
        Ok(address.map_or_else(|| settings.listen.clone(), Listen::from))
    }

    /// Opens the port. Returns also a future that resolves when the process is told to stop.
    pub(super) fn open(self, settings: &Settings) -> anyhow::Result<(Listener, BoxFuture<'static, ()>)> {
        match self {
            Self::Bound(socket) => {
                // Registered before anyone can know that the server is there and stop it.
                let stopped = http::stop_signal()?.boxed();
                Ok((listen_on(socket, &settings.listen, LISTEN)?, stopped))
            }
            Self::Open { listener, stopped } => Ok((listener, stopped)),
        }
    }
}

/// Requires a public URL if emails are sent and the server listens on all addresses or on a Unix socket: the links in emails need
/// an address that their recipients can reach.
fn check_public_url(settings: &Settings) -> Result<(), WrongSetting> {
    if settings.mail.smtp_url().is_some() && settings.public_url.is_none() && settings.listen.has_no_own_url() {
        let reason = "--public-url (ROSTER_PUBLIC_URL): required with --smtp-url if the server listens on all addresses or on a Unix socket, for the links in emails";
        return Err(WrongSetting(reason.to_owned()));
    }
    Ok(())
}
