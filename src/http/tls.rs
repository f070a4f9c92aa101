//! The certificate and the private key of the server, which can be replaced while it runs.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use chrono::DateTime;
use tokio_rustls::rustls::{
    self, CertificateError, InconsistentKeys, RootCertStore, ServerConfig,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject as _},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The certificate and the private key of the server, with the parameters of TLS; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    identity: Arc<Identity>,
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

/// The file of a [`TlsError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    Certificate,
    Key,
}

/// The reason why a certificate or a key cannot be used.
#[derive(Debug)]
pub struct TlsError {
    pub file: TlsFile,
    pub reason: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl Tls {
    /// Reads a certificate, with those of its issuers, and its key from PEM files.
    ///
    /// # Errors
    /// The file that cannot be used, and the reason.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let identity = read_identity(certificate, key, &provider)?;
        let identity = Arc::new(Identity(RwLock::new(Arc::new(identity))));
        let config = |protocols: &[&[u8]]| {
            let config = server_config(Arc::clone(&provider), Arc::clone(&identity), protocols);
            config.map(Arc::new).map_err(|error| TlsError::certificate(error.to_string()))
        };
        let (http1, http2) = (config(&[HTTP1])?, config(&[HTTP2, HTTP1])?);
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), identity, http1, http2 })
    }

    /// Reads the files again. New connections get the new certificate; open ones stay. After an error, the old one stays in use.
    ///
    /// # Errors
    /// The file that cannot be used, and the reason.
    pub fn reload(&self) -> Result<(), TlsError> {
        let identity = read_identity(&self.certificate, &self.key, &Arc::new(ring::default_provider()))?;
        *self.identity.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
        Ok(())
    }

    /// Returns the parameters of a connection. HTTP/2 is offered only to peers that may use it.
    pub(super) fn config(&self, may_multiplex: bool) -> Arc<ServerConfig> {
        Arc::clone(if may_multiplex { &self.http2 } else { &self.http1 })
    }
}

impl TlsError {
    fn certificate(reason: impl Into<String>) -> Self {
        Self { file: TlsFile::Certificate, reason: reason.into() }
    }

    fn key(reason: impl Into<String>) -> Self {
        Self { file: TlsFile::Key, reason: reason.into() }
    }
}

/// The certificate and the key that new connections get.
#[derive(Debug)]
struct Identity(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    identity: Arc<Identity>,
    protocols: &[&[u8]],
) -> Result<ServerConfig, rustls::Error> {
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_cert_resolver(identity);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn read_identity(certificate: &Path, key: &Path, provider: &Arc<CryptoProvider>) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(certificate).map_err(TlsError::certificate)?;
    check_dates(&chain, provider).map_err(TlsError::certificate)?;
    let key = read_key(key).map_err(TlsError::key)?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| TlsError::key(format!("not a supported private key: {error}")))?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::key(format!("not the key of the certificate in {}", certificate.display())))
        }
        Err(error) => Err(TlsError::certificate(format!("not a valid certificate: {error}"))),
    }
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err("expected certificates in PEM, that of the server first".to_owned()),
    }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => "expected a private key in PEM that is not encrypted".to_owned(),
        // Others may quote a line of the file.
        _ => "not valid PEM; expected a private key that is not encrypted".to_owned(),
    })
}

/// Rejects a certificate that has expired or is not valid yet. Others than the dates are not checked: clients know whom they trust.
fn check_dates(chain: &[CertificateDer<'static>], provider: &Arc<CryptoProvider>) -> Result<(), String> {
    let (Some((own, issuers)), Some(last)) = (chain.split_first(), chain.last()) else { return Ok(()) };
    // Any anchor will do: the dates are checked before it is looked at.
    let mut anchors = RootCertStore::empty();
    anchors.add(last.clone()).map_err(|error| format!("not a valid certificate: {error}"))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), Arc::clone(provider)).build();
    let (Ok(verifier), Ok(name)) = (verifier, ServerName::try_from("localhost")) else { return Ok(()) };
    let outcome = verifier.verify_server_cert(own, issuers, &name, &[], UnixTime::now());
    let Err(rustls::Error::InvalidCertificate(error)) = outcome else { return Ok(()) };
    match error {
        CertificateError::ExpiredContext { not_after, .. } => Err(format!("expired at {}", describe(not_after))),
        CertificateError::NotValidYetContext { not_before, .. } => {
            Err(format!("not valid before {}", describe(not_before)))
        }
        _ => Ok(()),
    }
}

fn describe(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
