//! `roster health`: checks the health of a running server, such as for the health check of a container.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::config::{Health, Listen, Settings};
use super::output::print_line;
use super::unverified;

/// The time within which the server must respond.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The length of the part of a response that ends with its status code: `HTTP/1.1 200`.
const STATUS_END: usize = 12;

pub async fn check_health(settings: &Settings, options: &Health) -> anyhow::Result<()> {
    let path = if options.live { "/health/live" } else { "/health/ready" };
    let listen = &settings.listen;
    let response = tokio::time::timeout(TIMEOUT, request_status(settings, path)).await;
    let response = response.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let status = response.with_context(|| format!("no response from {listen}"))?;
    print_line!("{path} {status}")?;
    anyhow::ensure!(status == 200, "{path} of {listen}: status {status}, expected 200");
    Ok(())
}

/// Returns the status code of the response of the server that listens as these settings say.
async fn request_status(settings: &Settings, path: &str) -> io::Result<u16> {
    #[cfg(unix)]
    if let Listen::Unix(socket) = &settings.listen {
        return status_over(UnixStream::connect(socket).await?, path).await;
    }
    let addresses: Vec<SocketAddr> = settings.listen.resolve().await?.into_iter().map(reachable).collect();
    let stream = TcpStream::connect(addresses.as_slice()).await?;
    if settings.tls.is_set() {
        status_over(unverified::connect(stream).await?, path).await
    } else {
        status_over(stream, path).await
    }
}

/// Returns the address at which this machine reaches a server: that of the loopback, if it listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => return address,
    };
    SocketAddr::new(loopback, address.port())
}

async fn status_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut start = [0; STATUS_END];
    stream.read_exact(&mut start).await?;
    let start = std::str::from_utf8(&start).unwrap_or_default();
    let status = start.strip_prefix("HTTP/1.1 ").and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the response is not HTTP"))
}
