//! The proxies of deploy/, started as their examples say in front of a server, and visitors who reach it through them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::{Captures, Regex};
use reqwest::header::{HOST as HOST_HEADER, HeaderMap, HeaderValue};
use reqwest::{ClientBuilder, RequestBuilder};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::postgres::free_port;
use crate::process::{Process, Sandbox, until};
use crate::programs::is_installed;
use crate::tls_client::{HOST, certify, encrypt};

/// The number of times that a proxy is started, because another process may take its ports before it binds them.
const ATTEMPTS: usize = 5;

/// A proxy for which deploy/ has an example.
#[derive(Clone, Copy, Debug)]
pub enum Proxy {
    Nginx,
    Caddy,
}

/// The ports of a proxy on 127.0.0.1.
#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    https: u16,
}

/// A proxy that runs in front of a server. Dropping it ends it.
pub struct Front {
    _process: Process,
    sandbox: Sandbox,
    ports: Ports,
}

impl Proxy {
    /// Starts the proxy in front of the server at an address. `None` if it is not installed.
    pub async fn start(self, server: &str) -> Option<Front> {
        let sandbox = Sandbox::on_sqlite();
        let is_installed = match self {
            Self::Nginx => is_installed("nginx", &["-v"]),
            Self::Caddy => is_installed("caddy", &["version"]),
        };
        if !is_installed || !certify(&sandbox.path(""), "server") {
            return None;
        }
        let mut log = String::new();
        for _ in 0..ATTEMPTS {
            let ports = Ports { http: free_port().unwrap(), https: free_port().unwrap() };
            let mut process = sandbox.start(&mut self.command(&sandbox, server, ports), "");
            let is_started = until(|| {
                let has_ended = process.has_ended();
                async move {
                    let listens = !has_ended && TcpStream::connect((Ipv4Addr::LOCALHOST, ports.https)).await.is_ok();
                    (has_ended || listens).then_some(listens)
                }
            })
            .await;
            if is_started == Some(true) {
                return Some(Front { _process: process, sandbox, ports });
            }
            log = process.err();
        }
        panic!("{self:?} does not start: {log}");
    }

    /// Writes the files of the proxy, and returns the command that runs it.
    fn command(self, sandbox: &Sandbox, server: &str, ports: Ports) -> Command {
        let (text, main) = match self {
            Self::Nginx => (nginx_site(sandbox, ports), NGINX.to_owned()),
            Self::Caddy => (caddy_site(sandbox), caddy_options(ports)),
        };
        let text = replaced(&text, "127.0.0.1:8000", server);
        match self {
            Self::Nginx => {
                fs::write(sandbox.path("roster.conf"), text).unwrap();
                fs::write(sandbox.path("nginx.conf"), main).unwrap();
                let mut command = Command::new("nginx");
                command.args(["-e", "stderr", "-p"]).arg(sandbox.path(""));
                command.arg("-c").arg(sandbox.path("nginx.conf"));
                command
            }
            Self::Caddy => {
                fs::write(sandbox.path("Caddyfile"), main + &text).unwrap();
                let mut command = Command::new("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(sandbox.path("Caddyfile"));
                for variable in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                    command.env(variable, sandbox.path("caddy"));
                }
                command
            }
        }
    }
}

/// The file around the example for nginx, as one process that needs no rights.
const NGINX: &str = "
daemon off;
master_process off;
pid pid;
error_log stderr;
events {}
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include roster.conf;
}
";

fn nginx_site(sandbox: &Sandbox, ports: Ports) -> String {
    let path = |name: &str| sandbox.path(name).display().to_string();
    let text = replaced(&example("nginx/roster.conf"), "/etc/ssl/roster/cert.pem", &path("server.pem"));
    let text = replaced(&text, "/etc/ssl/roster/key.pem", &path("server.key"));
    let text = replaced(&text, "/var/log/nginx/roster.log", &path("access.log"));
    // Not every machine has IPv6.
    let ipv6 = Regex::new(r"listen \[::\]:.*;").unwrap();
    let listen = Regex::new(r"listen (80|443)\b").unwrap();
    let text = ipv6.replace_all(&text, "");
    let with_port = |found: &Captures<'_>| {
        let port = if &found[1] == "80" { ports.http } else { ports.https };
        format!("listen 127.0.0.1:{port}")
    };
    assert_eq!(listen.find_iter(&text).count(), 2, "{text}");
    listen.replace_all(&text, with_port).into_owned()
}

fn caddy_site(sandbox: &Sandbox) -> String {
    let (certificate, key) = (sandbox.path("server.pem"), sandbox.path("server.key"));
    let site = format!("{HOST} {{\n");
    let with_certificate = format!("{site}\ttls {} {}\n", certificate.display(), key.display());
    replaced(&example("caddy/Caddyfile"), &site, &with_certificate)
}

/// The options before the example for Caddy: other ports, and nothing that other Caddys on this machine could notice.
fn caddy_options(Ports { http, https }: Ports) -> String {
    format!(
        "{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n\tdefault_bind 127.0.0.1\n\tskip_install_trust\n\
         \tservers {{\n\t\tprotocols h1 h2\n\t}}\n}}\n"
    )
}

fn example(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn replaced(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
    text.replace(old, new)
}

impl Front {
    /// The port without TLS.
    pub fn http(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.http).into()
    }

    /// A visitor at an address of this machine who speaks HTTP/1.1.
    pub async fn visitor(&self, address: &str) -> Visitor {
        // Without the port of the tunnel.
        let host = HeaderMap::from_iter([(HOST_HEADER, HeaderValue::from_static(HOST))]);
        self.visit(address, "http/1.1", reqwest::Client::builder().http1_only().default_headers(host)).await
    }

    /// A visitor at an address of this machine who speaks HTTP/2.
    pub async fn http2_visitor(&self, address: &str) -> Visitor {
        self.visit(address, "h2", reqwest::Client::builder().http2_prior_knowledge()).await
    }

    async fn visit(&self, address: &str, protocol: &'static str, client: ClientBuilder) -> Visitor {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let entrance = listener.local_addr().unwrap();
        let tunnel = Tunnel {
            from: address.parse().unwrap(),
            https: self.ports.https,
            certificate: self.sandbox.path("server.pem"),
            protocol,
        };
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(tunnel.clone().pass_on(near));
            }
        });
        let client = client.no_proxy().resolve(HOST, entrance).build().unwrap();
        Visitor { entrance, client, task }
    }
}

/// The way of the connections of a visitor: through TLS to the proxy.
#[derive(Clone)]
struct Tunnel {
    from: IpAddr,
    https: u16,
    certificate: PathBuf,
    protocol: &'static str,
}

impl Tunnel {
    async fn pass_on(self, mut near: TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).unwrap();
        let far = socket.connect((Ipv4Addr::LOCALHOST, self.https).into()).await.unwrap();
        let mut far = encrypt(far, HOST, &self.certificate, &[self.protocol]).await.unwrap();
        assert_eq!(far.get_ref().1.alpn_protocol(), Some(self.protocol.as_bytes()));
        // Fails if either side breaks off.
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}

/// A client of the server behind a proxy. It speaks HTTP without TLS at an entrance of its own, from where its connections are
/// passed on through TLS, so that every client of the tests can be used.
pub struct Visitor {
    /// The address of the entrance.
    pub entrance: SocketAddr,
    client: reqwest::Client,
    task: JoinHandle<()>,
}

impl Visitor {
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub fn post(&self) -> RequestBuilder {
        self.client.post(self.url("/graphql"))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{HOST}:{}{path}", self.entrance.port())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
