//! Where to listen: `ADDR:PORT`, or the path of a Unix socket, and `+proxy` behind it if a proxy stands in front.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What follows the address of a listener whose connections begin with a header of the PROXY protocol.
const PROXIED: &str = "+proxy";

/// A TCP listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TcpListen {
    /// The address. Port 0: any free port.
    pub address: SocketAddr,
    /// Every connection begins with a header of the PROXY protocol, version 1 or 2; one without is closed.
    pub proxied: bool,
}

/// A listener on a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnixListen {
    /// The socket's path. Whoever may write to it may connect, which is up to its directory and the process's umask.
    pub path: PathBuf,
    /// As [`TcpListen::proxied`].
    pub proxied: bool,
}

/// Not an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not ADDR:PORT or ADDR:PORT+proxy, with an IP address such as 127.0.0.1 or [::1]")]
pub struct ListenError(String);

fn split(text: &str) -> (&str, bool) {
    match text.strip_suffix(PROXIED) {
        Some(rest) => (rest, true),
        None => (text, false),
    }
}

fn suffix(proxied: bool) -> &'static str {
    if proxied { PROXIED } else { "" }
}

impl FromStr for TcpListen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        let (address, proxied) = split(text);
        let address = address.parse().map_err(|_| ListenError(text.to_owned()))?;
        Ok(Self { address, proxied })
    }
}

impl fmt::Display for TcpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.address, suffix(self.proxied))
    }
}

impl From<SocketAddr> for TcpListen {
    fn from(address: SocketAddr) -> Self {
        Self { address, proxied: false }
    }
}

impl TryFrom<String> for TcpListen {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, ListenError> {
        text.parse()
    }
}

impl From<TcpListen> for String {
    fn from(listen: TcpListen) -> Self {
        listen.to_string()
    }
}

impl FromStr for UnixListen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        let (path, proxied) = split(text);
        if path.is_empty() {
            return Err(ListenError(text.to_owned()));
        }
        Ok(Self {
            path: path.into(),
            proxied,
        })
    }
}

impl TryFrom<String> for UnixListen {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, ListenError> {
        text.parse()
    }
}

impl From<UnixListen> for String {
    fn from(listen: UnixListen) -> Self {
        format!("{}{}", listen.path.display(), suffix(listen.proxied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["127.0.0.1:5672", "[::1]:0", "0.0.0.0:5672+proxy"] {
            assert_eq!(text.parse().map(|listen: TcpListen| listen.to_string()), Ok(text.to_owned()));
        }
        for text in ["localhost:5672", "5672", "127.0.0.1", "127.0.0.1:5672+tls", "+proxy", ""] {
            assert!(text.parse::<TcpListen>().is_err(), "{text}");
        }
        let unix: UnixListen = "/run/stoa.sock+proxy".parse().expect("a path");
        assert_eq!((unix.path.to_str(), unix.proxied), (Some("/run/stoa.sock"), true));
        assert!("".parse::<UnixListen>().is_err());
    }
}
