//! What a proxy says before AMQP begins. The files are the broker's own: the crate that they belong to would bring its store along.

#[path = "../../broker/server/src/transport/peer.rs"]
#[allow(dead_code, missing_docs)]
mod peer;
#[path = "../../broker/server/src/transport/proxy_header.rs"]
#[allow(dead_code)]
mod proxy_header;

use proxy_header::{HEADER_MAX, parse};

/// A header of the PROXY protocol: it ends within the octets that there are, more octets change nothing about it, and at some size it is complete or none.
///
/// # Panics
/// If something is not so.
pub fn proxy_header(octets: &[u8]) {
    let whole = parse(octets);
    if let Ok(Some(header)) = whole {
        assert!(header.size <= octets.len());
        assert_eq!(parse(&octets[..header.size]), whole);
    }
    for end in 0..octets.len() {
        let part = parse(&octets[..end]);
        assert!(part == Ok(None) || part == whole, "{end} octets are {part:?}, all of them {whole:?}");
    }
    let mut filled = octets.to_vec();
    filled.resize(octets.len().max(HEADER_MAX), 0);
    assert_ne!(parse(&filled), Ok(None));
}
