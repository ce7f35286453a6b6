//! What the TLS listeners show, and ask to be shown.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// TLS, for all listeners that speak it. The files are read again when they change, and on SIGHUP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the broker's certificate, followed by those that lead to its authority.
    pub cert: PathBuf,
    /// PEM file with the certificate's private key.
    pub key: PathBuf,
    /// PEM file with the authorities whose client certificates are accepted.
    pub ca: PathBuf,
    /// PEM file with lists of revoked certificates, one of each authority that has signed any of a client's certificates; empty: nothing is revoked.
    pub crl: PathBuf,
    /// See [`ClientCertificates`].
    pub client_certificates: ClientCertificates,
    /// The oldest version that is spoken.
    pub version_min: TlsVersion,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    None,
    /// They are asked, and may have none. A bad one is refused.
    Optional,
    /// Without one the handshake fails.
    Required,
}

/// A version of TLS. Older ones are not spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

impl TlsConfig {
    pub(super) fn check(&self, listening: bool) -> Result<(), ConfigError> {
        let missing = |path: &PathBuf| path.as_os_str().is_empty();
        if listening && missing(&self.cert) {
            return Err(ConfigError::new(
                "tls.cert",
                "there is a listener in amqps, which needs a certificate (--tls-cert)",
            ));
        }
        if listening && missing(&self.key) {
            return Err(ConfigError::new(
                "tls.key",
                "there is a listener in amqps, which needs the key of its certificate (--tls-key)",
            ));
        }
        if self.client_certificates != ClientCertificates::None && missing(&self.ca) {
            let why = "tls.client_certificates asks for certificates, which needs the authorities that may sign them (--tls-ca)";
            return Err(ConfigError::new("tls.ca", why));
        }
        if self.client_certificates == ClientCertificates::None && !missing(&self.crl) {
            let why = "there are revoked certificates, and tls.client_certificates asks for none (--tls-client-certificates)";
            return Err(ConfigError::new("tls.crl", why));
        }
        Ok(())
    }
}
