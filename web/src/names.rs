//! How names are written in paths and objects.

use std::net::SocketAddr;

use stoa_amqp::ShortString;
use stoa_server::{ConnectionId, Peer};

use crate::failure::Failure;

/// The default exchange has no name; in paths it is called this.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// The exchange that a path means.
pub(crate) fn exchange(name: &str) -> &str {
    if name == DEFAULT_EXCHANGE { "" } else { name }
}

/// A name that can be one.
pub(crate) fn short(name: &str) -> Result<ShortString, Failure> {
    ShortString::new(name.as_bytes()).map_err(|_| Failure::bad_request("a name is longer than 255 octets"))
}

/// How a connection is called: both of its ends.
pub(crate) fn connection(peer: Peer, local: Option<SocketAddr>, id: ConnectionId) -> String {
    match (peer, local) {
        (Peer::Ip(peer), Some(local)) => format!("{peer} -> {local}"),
        _ => format!("unix:{id}"),
    }
}

/// What the API calls this node.
pub(crate) const NODE: &str = "stoa@localhost";
