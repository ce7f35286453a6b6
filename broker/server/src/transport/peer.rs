//! Who is at the other end of a socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address of a client. Behind a proxy that speaks the PROXY protocol it is the client's, not the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Ip(SocketAddr),
    /// Over a Unix socket: a process of the same machine.
    Unix,
}

impl Peer {
    /// Whether it is on the broker's own machine. Users such as `guest` may come from there only.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Ip(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

impl Peer {
    /// Its address; that of the broker's own machine over a Unix socket.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        match self {
            Self::Ip(address) => address.ip(),
            Self::Unix => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What is worth knowing of a connection's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSummary {
    /// `TLSv1_2` or `TLSv1_3`.
    pub version: String,
    /// The cipher suite.
    pub cipher_suite: String,
    /// The distinguished name in the client's certificate, if it showed one.
    pub subject: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_is_loopback_and_unix() {
        for (peer, local) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("[::ffff:192.0.2.1]:1", false),
            ("192.0.2.1:1", false),
        ] {
            assert_eq!(Peer::Ip(peer.parse().expect("an address")).is_local(), local, "{peer}");
        }
        assert!(Peer::Unix.is_local());
    }
}
