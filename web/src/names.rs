//! How names are written in paths and objects.

use stoa_amqp::ShortString;

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

/// What the API calls this node.
pub(crate) const NODE: &str = "stoa@localhost";
