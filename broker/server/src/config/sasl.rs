//! Who may log in without a password.

use serde::{Deserialize, Serialize};

/// SASL beside PLAIN and AMQPLAIN, which are always offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaslConfig {
    /// The user that clients are who log in with ANONYMOUS. Empty: the mechanism is not offered.
    pub anonymous_user: String,
    /// What in a client's certificate names its user, for EXTERNAL. The mechanism is offered to clients that have shown one that names somebody.
    pub external_user: CertificateName,
}

/// Which part of a certificate names the user (RabbitMQ: `ssl_cert_login_from`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// The common name of the subject; the first, if there are several.
    #[default]
    CommonName,
    /// The whole subject, as RFC 4514 writes it: `CN=name,O=organization`.
    DistinguishedName,
    /// The first DNS name among the subject's alternative names.
    SanDns,
    /// The first e-mail address among them.
    SanEmail,
    /// The first URI among them.
    SanUri,
}
