//! A minimal HTTP/1.1 client with keep-alive connections.
//!
//! The load generator shares the machine's cores with the server. A general client (a connection pool, header maps, a
//! decoder, a task for each connection) would take as much processor time as the cheap workloads do; this one takes a
//! write, a read and a search for two line ends.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::net::{TcpSocket, TcpStream};

/// One connection, for one request after the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// The response to a request.
pub struct Response<'a> {
    pub status: u16,
    pub body: &'a str,
    /// Whether the server closes the connection.
    pub closes: bool,
}

/// The head of a response.
struct Head {
    status: u16,
    /// The length of the body.
    length: usize,
    closes: bool,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(address).await?)
    }

    /// Opens a connection from another IPv4 address of this machine.
    pub async fn open_from(source: IpAddr, address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        // Thousands of connections that linger after their end would use up the ports of the address.
        socket.set_zero_linger()?;
        socket.bind(SocketAddr::new(source, 0))?;
        Self::over(socket.connect(address).await?)
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024], filled: 0 })
    }

    /// Sends a request and reads its response to the end.
    pub async fn send(&mut self, request: &[u8]) -> Result<Response<'_>> {
        // The server may reject a request before it has read all of it; if the connection is closed, the read fails too.
        let _ = self.write(request).await;
        self.filled = 0;
        let (Head { status, length, closes }, from) = loop {
            self.read().await?;
            let read = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break (read_head(read.get(..end).unwrap_or_default())?, end + 4);
            }
        };
        let to = from + length;
        while self.filled < to {
            self.read().await?;
        }
        let body = self.buffer.get(from..to).unwrap_or_default();
        Ok(Response { status, body: std::str::from_utf8(body)?, closes })
    }

    /// Sends a part of a request, and waits until the server closes the connection.
    pub async fn hold(mut self, part: &[u8]) {
        // The server may close the connection at any time.
        let _ = self.write(part).await;
        while self.read().await.is_ok() {
            self.filled = 0;
        }
    }

    /// Reads the text up to a separator, and removes both from the buffer.
    async fn read_until(&mut self, separator: &str) -> Result<String> {
        loop {
            let read = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(end) = read.windows(separator.len()).position(|bytes| bytes == separator.as_bytes()) {
                let text = std::str::from_utf8(read.get(..end).unwrap_or_default())?.to_owned();
                let rest = end + separator.len();
                self.buffer.copy_within(rest..self.filled, 0);
                self.filled -= rest;
                return Ok(text);
            }
            self.read().await?;
        }
    }

    async fn write(&self, mut rest: &[u8]) -> Result<()> {
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn read(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(self.buffer.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => {
                    self.filled += read;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The server-sent events of a subscription.
pub struct EventStream(Connection);

impl EventStream {
    /// Starts a subscription, and waits for the block without an event with which its stream begins.
    pub async fn open(address: SocketAddr, token: &str, body: &str) -> Result<Self> {
        // By HTTP/1.0, so that the response has no chunks.
        let request = format!(
            "POST /graphql HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Accept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = Connection::open(address).await?;
        connection.write(request.as_bytes()).await?;
        let head = connection.read_until("\r\n\r\n").await?;
        ensure!(head.starts_with("HTTP/1.0 200 "), "{body}: {head}");
        let begin = connection.read_until("\n\n").await?;
        ensure!(begin.starts_with("id: "), "{body}: {begin}");
        Ok(Self(connection))
    }

    /// Returns the data of the next event.
    pub async fn next_event(&mut self) -> Result<String> {
        loop {
            let block = self.0.read_until("\n\n").await?;
            // A comment has no data.
            if let Some(data) = block.lines().find_map(|line| line.strip_prefix("data: ")) {
                return Ok(data.to_owned());
            }
        }
    }
}

/// Returns a POST to /graphql as bytes. With an empty token it is anonymous.
pub fn post(address: SocketAddr, token: &str, body: &str) -> Vec<u8> {
    post_to(address, "/graphql", token, body)
}

/// Returns a POST to another path as bytes.
pub fn post_to(address: SocketAddr, path: &str, token: &str, body: &str) -> Vec<u8> {
    let bearer = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{bearer}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn read_head(head: &[u8]) -> Result<Head> {
    let mut lines = std::str::from_utf8(head)?.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
    let (mut length, mut closes) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse()?);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Ok(Head { status, length: length.context("a response without Content-Length")?, closes })
}
