//! The port or Unix socket of the server: bound first, and opened when everything else has been checked.

use anyhow::Context as _;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::config::{Listen, Settings};
use super::open::WrongSetting;
use crate::http::{self, BoundSocket, Listener};

/// The port or Unix socket of the server.
pub(super) enum Port {
    /// Nobody can connect to it yet.
    Bound(BoundSocket),
    /// The system keeps connections until they are accepted. `stopped` resolves when the process is told to stop.
    Open { listener: Listener, stopped: BoxFuture<'static, ()> },
}

impl Port {
    /// Binds the port. Nobody can connect to it until everything else has been checked.
    pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        check_public_url(settings)?;
        #[cfg(unix)]
        if let Listen::Unix(path) = &settings.listen {
            return http::bind_unix(path).map(Self::Bound).with_context(|| setting(settings));
        }
        let addresses = settings.listen.resolve().await;
        let addresses = addresses.map_err(|error| WrongSetting(format!("{}: {error}", setting(settings))))?;
        let mut last_error = None;
        for address in addresses {
            match http::bind(address) {
                Ok(socket) => return Ok(Self::Bound(socket)),
                Err(error) => last_error = Some(error),
            }
        }
        let no_address = || std::io::Error::other("the host name has no address");
        Err(last_error.unwrap_or_else(no_address)).with_context(|| setting(settings))
    }

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
                let listener = http::listen(socket).with_context(|| setting(settings))?;
                Ok((listener, stopped))
            }
            Self::Open { listener, stopped } => Ok((listener, stopped)),
        }
    }
}

fn setting(settings: &Settings) -> String {
    format!("--listen {} (ROSTER_LISTEN)", settings.listen)
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
