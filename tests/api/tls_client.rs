//! A client of TLS, and the certificates that it trusts.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::programs::is_installed;
use crate::wire::TIMEOUT;

/// The second name in the certificates, beside localhost.
pub const HOST: &str = "people.example.org";

/// Creates a certificate for localhost and [`HOST`], `NAME.pem`, with its key, `NAME.key`. Returns false if that is not possible
/// here.
pub fn certify(dir: &Path, name: &str) -> bool {
    if !is_installed("openssl", &["version"]) {
        return false;
    }
    fs::write(dir.join("openssl.cnf"), "[req]\ndistinguished_name = name\n[name]\n").unwrap();
    let request = "req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -batch \
                   -subj /CN=localhost -addext basicConstraints=critical,CA:FALSE -addext";
    let names = [format!("subjectAltName=DNS:localhost,DNS:{HOST}")];
    let files = ["-keyout".to_owned(), format!("{name}.key"), "-out".to_owned(), format!("{name}.pem")];
    let arguments = request.split_whitespace().map(str::to_owned).chain(names).chain(files);
    let output = Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Connects to localhost, and trusts one certificate only.
pub async fn connect(address: &str, certificate: &Path, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
    encrypt(TcpStream::connect(address).await?, "localhost", certificate, protocols).await
}

/// Encrypts a connection to a host, and trusts one certificate only.
pub async fn encrypt(
    stream: TcpStream,
    host: &'static str,
    certificate: &Path,
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(host).unwrap();
    timeout(TIMEOUT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("a handshake")
}
