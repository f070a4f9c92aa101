//! Raw HTTP, for requests that no well-behaved client would send.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The timeout of every wait, which only bounds a hang.
pub const TIMEOUT: Duration = Duration::from_mins(1);

/// The address of a server to write bytes to.
#[derive(Clone, Copy, Debug)]
pub struct RawClient(pub SocketAddr);

/// A response.
#[derive(Clone, Debug)]
pub struct RawResponse {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl RawClient {
    pub async fn connect(self) -> TcpStream {
        TcpStream::connect(self.0).await.unwrap()
    }

    /// The response to these bytes on a new connection.
    pub async fn raw(self, bytes: &[u8]) -> RawResponse {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes).await; // the server may respond before it has read everything
        read_response(&mut stream, bytes.starts_with(b"HEAD")).await.unwrap()
    }

    pub async fn send(self, method: &str, path: &str, headers: &str, body: &[u8]) -> RawResponse {
        self.raw(&request(method, path, headers, body)).await
    }

    pub async fn get(self, path: &str) -> RawResponse {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await
    }

    /// Posts a body as JSON to /graphql.
    pub async fn post(self, headers: &str, body: &[u8]) -> RawResponse {
        self.send("POST", "/graphql", &format!("Content-Type: application/json\r\n{headers}"), body).await
    }

    pub async fn query(self, query: &str) -> RawResponse {
        self.post("", json!({ "query": query }).to_string().as_bytes()).await
    }
}

impl RawResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the first error; every error must have one.
    pub fn code(&self) -> String {
        let json = self.json();
        for error in json["errors"].as_array().unwrap_or_else(|| panic!("no errors: {self:?}")) {
            assert!(error["extensions"]["code"].is_string(), "{json}");
        }
        json["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }

    /// Whether the request was rejected without being executed.
    pub fn is_http_error(&self) -> bool {
        self.json().get("data").is_none()
    }
}

/// A request with a body of known length.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// Reads one response, or returns the reason why there is none.
pub async fn read_response(stream: &mut TcpStream, is_bodyless: bool) -> Result<RawResponse, String> {
    let mut bytes = Vec::new();
    let (end, mut response) = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let status =
                head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| format!("no response: {head}"))?;
            break (end + 4, RawResponse { status, head, body: String::new() });
        }
        read_more(stream, &mut bytes).await?;
    };
    let length = response
        .header("content-length")
        .map_or(Ok(0), str::parse)
        .map_err(|error| format!("{error}: {response:?}"))?;
    let end_of_body = end + if is_bodyless { 0 } else { length };
    while bytes.len() < end_of_body {
        read_more(stream, &mut bytes).await?;
    }
    response.body = String::from_utf8_lossy(&bytes[end..end_of_body]).into_owned();
    Ok(response)
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = [0; 8192];
    let read = timeout(TIMEOUT, stream.read(&mut buffer)).await.map_err(|_| format!("no response in {TIMEOUT:?}"))?;
    match read {
        Ok(0) => Err(format!("closed after {:?}", String::from_utf8_lossy(bytes))),
        Ok(count) => {
            bytes.extend_from_slice(&buffer[..count]);
            Ok(())
        }
        Err(error) => Err(format!("{error} after {:?}", String::from_utf8_lossy(bytes))),
    }
}

/// Waits until the server closes the connection, and returns the text sent before.
pub async fn closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let ended = timeout(TIMEOUT, stream.read_to_end(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(ended.is_ok(), "not closed within {TIMEOUT:?}: {text}");
    text
}
