//! Who logs in: the SASL mechanisms, and which of them a connection is offered.

use std::sync::Arc;

use stoa_amqp::{Table, Value};

use crate::broker::Broker;
use crate::config::SaslConfig;
use crate::outlet::Outlet;
use crate::transport::Peer;

/// What is known of a client before it says who it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// Its connection, which is woken when a slow look at its password is over.
    pub(crate) outlet: &'a Arc<Outlet>,
    pub(crate) peer: &'a Peer,
    /// The user that the client's certificate names.
    pub(crate) certificate_user: Option<&'a str>,
}

/// A mechanism that is not offered on this connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotOffered;

/// What `connection.start` offers, in the order of preference.
pub(crate) fn mechanisms(config: &SaslConfig, has_certificate: bool) -> String {
    let mut mechanisms = String::from("PLAIN AMQPLAIN");
    if has_certificate {
        mechanisms.push_str(" EXTERNAL");
    }
    if !config.anonymous_user.is_empty() {
        mechanisms.push_str(" ANONYMOUS");
    }
    mechanisms
}

/// What a client logs in with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// A user, if that one has this password.
    Password(String, String),
    /// A user who needs none here.
    User(String),
    /// Nobody that may log in.
    Nobody,
}

/// Who the client says that it is.
pub(crate) fn claimed(broker: &Broker, mechanism: &str, response: &[u8], evidence: Evidence<'_>) -> Result<Claimed, NotOffered> {
    let by_password =
        |credentials: Option<(String, String)>| credentials.map_or(Claimed::Nobody, |(user, password)| Claimed::Password(user, password));
    let without_password = |user: &str| {
        let site = broker.topology.read();
        match site.topology.user(user) {
            Some(known) if evidence.peer.is_local() || !known.loopback_only => Claimed::User(user.to_owned()),
            _ => Claimed::Nobody,
        }
    };
    match (mechanism, evidence.certificate_user) {
        ("PLAIN", _) => Ok(by_password(plain(response))),
        ("AMQPLAIN", _) => Ok(by_password(amqplain(response))),
        // RFC 4422, appendix A. Clients send an empty response or the name once more; RabbitMQ looks at the certificate only, and so do we.
        ("EXTERNAL", Some(user)) => Ok(without_password(user)),
        // RFC 4505: the response is a trace for the log, which anybody could forge.
        ("ANONYMOUS", _) if !broker.config.sasl.anonymous_user.is_empty() => Ok(without_password(&broker.config.sasl.anonymous_user)),
        _ => Err(NotOffered),
    }
}

/// SASL PLAIN (RFC 4616): authorization identity, user, password, each after a zero octet.
fn plain(response: &[u8]) -> Option<(String, String)> {
    let mut parts = response.splitn(3, |&octet| octet == 0);
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some((String::from_utf8(user.to_vec()).ok()?, String::from_utf8(password.to_vec()).ok()?))
}

/// AMQPLAIN: a field table without its length.
fn amqplain(response: &[u8]) -> Option<(String, String)> {
    let table = Table::decode(response).ok()?;
    let text = |key: &str| match table.get(key)? {
        Value::LongString(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    };
    Some((text("LOGIN")?, text("PASSWORD")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(plain(b"\0guest\0secret"), pair("guest", "secret"));
        assert_eq!(plain(b"other\0guest\0"), pair("guest", ""));
        assert_eq!(plain(b"\0guest\0a\0b"), pair("guest", "a\0b"));
        for broken in [&b""[..], b"guest", b"\0guest", b"\0\xff\0x"] {
            assert_eq!(plain(broken), None, "{broken:?}");
        }
        assert_eq!(amqplain(b"\x05LOGINS\0\0\0\x01u\x08PASSWORDS\0\0\0\x01p"), pair("u", "p"));
        assert_eq!(amqplain(b"\x05LOGINS\0\0\0\x01u"), None);
        assert_eq!(amqplain(b"\x05LOGINS\0\0\0"), None);
    }

    #[test]
    fn what_is_offered_depends_on_the_connection() {
        let offered = |anonymous: &str, has_certificate| {
            let config = SaslConfig {
                anonymous_user: anonymous.to_owned(),
                ..SaslConfig::default()
            };
            mechanisms(&config, has_certificate)
        };
        assert_eq!(offered("", false), "PLAIN AMQPLAIN");
        assert_eq!(offered("", true), "PLAIN AMQPLAIN EXTERNAL");
        assert_eq!(offered("guest", false), "PLAIN AMQPLAIN ANONYMOUS");
    }
}
