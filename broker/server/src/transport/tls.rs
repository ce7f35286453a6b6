//! TLS as a layer between an outlet and its socket: plaintext goes into the session and ciphertext into the socket, both under the outlet's lock.
//!
//! rustls does the cryptography and no I/O, so that whoever has something for the client can write it at once, as over plain TCP. What the socket
//! does not take stays in the session, up to a limit, and behind that in the outlet's buffer.

use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, version};

use super::certificate;
use super::peer::TlsSummary;
use super::socket::Sink;
use crate::config::{CertificateName, ClientCertificates, TlsConfig, TlsVersion};

/// Why TLS cannot be spoken with what is configured.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM of the kind that is wanted.
    #[error("{key}: {}: {why}", path.display())]
    File {
        /// The setting that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("tls.cert and tls.key: {0}")]
    Identity(rustls::Error),
    /// The authorities cannot be used.
    #[error("tls.ca: {0}")]
    Authorities(String),
}

/// What the broker shows and accepts, read from files; they may change while it runs.
#[derive(Debug)]
pub(crate) struct Certificates {
    config: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
    /// What the files were like when they were read last, with or without success.
    seen: Mutex<Vec<Stamp>>,
}

/// Two files with the same stamp are taken for the same. None: there is no such file.
type Stamp = Option<(u64, SystemTime)>;

impl Certificates {
    pub(crate) fn load(config: TlsConfig) -> Result<Self, TlsError> {
        let seen = Mutex::new(stamps(&config));
        let current = RwLock::new(Arc::new(read(&config)?));
        Ok(Self { config, current, seen })
    }

    /// Reads the files again. After an error everything is as before.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        *self.seen.lock() = stamps(&self.config);
        let fresh = Arc::new(read(&self.config)?);
        *self.current.write() = fresh;
        Ok(())
    }

    /// Whether a file is not what it was when it was read last.
    pub(crate) fn have_changed(&self) -> bool {
        *self.seen.lock() != stamps(&self.config)
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.read().clone()
    }
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    let stamp = |metadata: Metadata| Some((metadata.len(), metadata.modified().ok()?));
    [&config.cert, &config.key, &config.ca, &config.crl]
        .into_iter()
        .map(|path| std::fs::metadata(path).ok().and_then(stamp))
        .collect()
}

fn read(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match config.version_min {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(TlsError::Identity)?;
    let builder = if config.client_certificates == ClientCertificates::None {
        builder.with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        for authority in certificates("tls.ca", &config.ca)? {
            roots.add(authority).map_err(|error| TlsError::Authorities(error.to_string()))?;
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if !config.crl.as_os_str().is_empty() {
            verifier = verifier.with_crls(revoked(&config.crl)?);
        }
        let verifier = match config.client_certificates {
            ClientCertificates::Required => verifier,
            ClientCertificates::Optional | ClientCertificates::None => verifier.allow_unauthenticated(),
        };
        builder.with_client_cert_verifier(verifier.build().map_err(|error| TlsError::Authorities(error.to_string()))?)
    };
    let file = |why: String| TlsError::File {
        key: "tls.key",
        path: config.key.clone(),
        why,
    };
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| file(pem_error(&error, "private key")))?;
    builder
        .with_single_cert(certificates("tls.cert", &config.cert)?, key)
        .map_err(TlsError::Identity)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |error: &rustls::pki_types::pem::Error| TlsError::File {
        key,
        path: path.to_owned(),
        why: pem_error(error, "certificate"),
    };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(&error))?;
    if found.is_empty() {
        return Err(file(&rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// Lists of revoked certificates.
fn revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let file = |why| TlsError::File {
        key: "tls.crl",
        path: path.to_owned(),
        why,
    };
    let found = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(pem_error(&error, "list of revoked certificates")))?;
    if found.is_empty() {
        return Err(file(pem_error(
            &rustls::pki_types::pem::Error::NoItemsFound,
            "list of revoked certificates",
        )));
    }
    Ok(found)
}

fn pem_error(error: &rustls::pki_types::pem::Error, wanted: &str) -> String {
    match error {
        rustls::pki_types::pem::Error::NoItemsFound => format!("there is no {wanted} in it (PEM is wanted)"),
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// The TLS of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    rustls: ServerConnection,
    /// Nothing has come yet.
    fresh: bool,
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("the client speaks AMQP without TLS on a port for TLS")]
    PlainAmqp,
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How far a session has written.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// Everything is with the kernel.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The peer is gone.
    Dead,
}

impl Session {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let rustls = ServerConnection::new(config)?;
        Ok(Self { rustls, fresh: true })
    }

    /// Takes ciphertext, and puts plaintext into `plain`, which has room for all of it. Gives the octets of plaintext, and whether the client has
    /// closed behind them.
    pub(crate) fn take(&mut self, mut cipher: &[u8], plain: &mut [u8]) -> Result<(usize, bool), SessionError> {
        if std::mem::take(&mut self.fresh) && cipher.starts_with(b"AMQP") {
            return Err(SessionError::PlainAmqp);
        }
        let mut filled = 0;
        while !cipher.is_empty() && self.rustls.read_tls(&mut cipher)? > 0 {
            let state = self.rustls.process_new_packets()?;
            let closed = state.peer_has_closed();
            let ready = state.plaintext_bytes_to_read();
            if ready > 0 {
                self.rustls.reader().read_exact(&mut plain[filled..filled + ready])?;
                filled += ready;
            }
            if closed {
                return Ok((filled, true));
            }
        }
        Ok((filled, false))
    }

    /// Writes as much plaintext as goes; gives how much of it the session has taken.
    pub(crate) fn write(&mut self, plain: &[u8], mut sink: &Sink) -> (usize, Flushed) {
        let mut taken = 0;
        loop {
            if taken < plain.len() {
                match self.rustls.writer().write(&plain[taken..]) {
                    Ok(n) => taken += n,
                    Err(_) => return (taken, Flushed::Dead),
                }
            }
            if !self.rustls.wants_write() {
                // Nothing is written before the handshake is over, so the session takes everything sooner or later.
                let flushed = if taken == plain.len() { Flushed::Done } else { Flushed::Dead };
                return (taken, flushed);
            }
            match self.rustls.write_tls(&mut sink) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (taken, Flushed::Blocked),
                Err(_) => return (taken, Flushed::Dead),
            }
        }
    }

    /// Says that nothing more will be written, as far as the socket takes it.
    pub(crate) fn say_close(&mut self, sink: &Sink) {
        self.rustls.send_close_notify();
        self.write(&[], sink);
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.rustls.is_handshaking()
    }

    /// What is worth knowing, once the handshake is over.
    pub(crate) fn summary(&self) -> TlsSummary {
        TlsSummary {
            version: self
                .rustls
                .protocol_version()
                .and_then(|version| version.as_str())
                .unwrap_or_default()
                .to_owned(),
            cipher_suite: self
                .rustls
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or_default()
                .to_owned(),
            subject: self.user(CertificateName::DistinguishedName),
        }
    }

    /// Whom the client's certificate names, if it showed one and that names somebody. It was verified by the handshake.
    pub(crate) fn user(&self, part: CertificateName) -> Option<String> {
        let certificate = self.rustls.peer_certificates()?.first()?;
        certificate::name(certificate, part)
    }
}
