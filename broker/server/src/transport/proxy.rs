//! The PROXY protocol (HAProxy's specification, versions 1 and 2): a header before everything else that says who connected to the proxy.

use std::io;

use super::peer::Peer;
use super::proxy_header::{HEADER_MAX, HeaderError, parse};
use super::socket::Source;

/// Why no header came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a header: whom it names, and what was read behind it.
pub(crate) async fn receive(source: &mut Source) -> Result<(Option<Peer>, Vec<u8>), ReceiveError> {
    let mut octets = vec![0; HEADER_MAX];
    let mut filled = 0;
    loop {
        let n = source.read(&mut octets[filled..]).await?;
        if n == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += n;
        if let Some(header) = parse(&octets[..filled])? {
            octets.truncate(filled);
            octets.drain(..header.size);
            octets.shrink_to_fit();
            return Ok((header.client, octets));
        }
    }
}
