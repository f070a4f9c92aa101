//! The port of the server: bound first, and opened when everything else has been checked.

use std::net::SocketAddr;

use anyhow::Context as _;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpSocket};

use super::config::Settings;
use super::open::WrongSetting;
use crate::http;

/// The port of the server.
pub(super) enum Port {
    /// Nobody can connect to it yet.
    Bound(TcpSocket),
    /// The system keeps connections until they are accepted. `stopped` resolves when the process is told to stop.
    Open { listener: std::net::TcpListener, stopped: BoxFuture<'static, ()> },
}

impl Port {
    /// Binds the port. Nobody can connect to it until everything else has been checked.
    pub(super) async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        check_public_url(settings)?;
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

    /// Returns the address with the number of the port.
    pub(super) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        match self {
            Self::Bound(socket) => socket.local_addr(),
            Self::Open { listener, .. } => listener.local_addr(),
        }
    }

    /// Opens the port. Returns also a future that resolves when the process is told to stop.
    pub(super) fn open(self, settings: &Settings) -> anyhow::Result<(TcpListener, BoxFuture<'static, ()>)> {
        match self {
            Self::Bound(socket) => {
                // Registered before anyone can know that the server is there and stop it.
                let stopped = http::stop_signal()?.boxed();
                let listener = http::listen(socket).with_context(|| setting(settings))?;
                Ok((listener, stopped))
            }
            Self::Open { listener, stopped } => Ok((TcpListener::from_std(listener)?, stopped)),
        }
    }
}

fn setting(settings: &Settings) -> String {
    format!("--listen {} (ROSTER_LISTEN)", settings.listen)
}

/// Requires a public URL if emails are sent and the server listens on all addresses: the links in emails need an address that
/// their recipients can reach.
fn check_public_url(settings: &Settings) -> Result<(), WrongSetting> {
    if settings.mail.smtp_url().is_some() && settings.public_url.is_none() && settings.listen.is_unspecified() {
        let reason = "--public-url (ROSTER_PUBLIC_URL): required with --smtp-url if the server listens on all addresses, for the links in emails";
        return Err(WrongSetting(reason.to_owned()));
    }
    Ok(())
}
