//! Tuples in bodies: JSON, CBOR and MessagePack, each read once into [`Owned`] within a budget. None of the readers trusts a length that it reads.

mod cbor;
mod json;
mod message_pack;
#[cfg(test)]
mod tests;

use super::error::Malformed;
use super::owned::{Budget, Owned};

pub(crate) use json::read as read_json;

/// In what the body of a message is encoded, if a tuple can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/json`, `text/json`, or a subtype ending in `+json`.
    Json,
    /// `application/cbor`, or a subtype ending in `+cbor`.
    Cbor,
    /// `application/msgpack`, `application/x-msgpack`, `application/vnd.msgpack`, or a subtype ending in `+msgpack`.
    MessagePack,
}

impl Format {
    /// By the property `content-type`: its parameters and the case of its letters do not matter.
    #[must_use]
    pub fn of_content_type(content_type: &[u8]) -> Option<Self> {
        let essence = content_type.split(|octet| *octet == b';').next()?.trim_ascii();
        let slash = essence.iter().position(|octet| *octet == b'/')?;
        let (kind, subtype) = essence.split_at(slash);
        let subtype = subtype.get(1..)?;
        let is = |name: &str| subtype.eq_ignore_ascii_case(name.as_bytes());
        let application = kind.eq_ignore_ascii_case(b"application");
        let suffix = subtype
            .rsplit(|octet| *octet == b'+')
            .next()
            .filter(|suffix| suffix.len() < subtype.len());
        let ends = |name: &str| suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(name.as_bytes()));
        let text = kind.eq_ignore_ascii_case(b"text");
        if ends("json") || ((application || text) && is("json")) {
            Some(Self::Json)
        } else if ends("cbor") || (application && is("cbor")) {
            Some(Self::Cbor)
        } else if ends("msgpack") || (application && ["msgpack", "x-msgpack", "vnd.msgpack"].into_iter().any(is)) {
            Some(Self::MessagePack)
        } else {
            None
        }
    }

    /// Reads the one value that a body is.
    pub(crate) fn read(self, body: &[u8], budget: &mut Budget) -> Result<Owned, Malformed> {
        budget.whole(body)?;
        match self {
            Self::Json => json::read(body, budget),
            Self::Cbor => cbor::read(body, budget),
            Self::MessagePack => message_pack::read(body, budget),
        }
    }
}
