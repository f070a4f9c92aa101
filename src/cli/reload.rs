//! SIGHUP: reads the certificate and the key of the server again.

use super::config::TlsSettings;
use crate::http::Tls;

/// Reads the certificate and the key again on each SIGHUP, as long as the process runs.
pub(super) fn on_hangup(tls: Tls, settings: TlsSettings) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut hangups = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                reload(&tls, &settings);
            }
        });
    }
    #[cfg(not(unix))]
    let _ = (tls, settings);
    Ok(())
}

#[cfg(unix)]
fn reload(tls: &Tls, settings: &TlsSettings) {
    match tls.reload() {
        Ok(()) => tracing::info!("reloaded the TLS certificate"),
        Err(error) => {
            let reason = settings.describe(&error);
            tracing::error!(reason, "failed to reload the TLS certificate; the previous one stays in use");
        }
    }
}
