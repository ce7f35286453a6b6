//! A body that is written on a thread of its own while it goes out, so that a long one is never in memory as a whole and stops nobody else.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::poll_fn;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};

/// Octets that go out together, and pieces that wait for the client.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 4;
/// How long a client may take for one piece. Later than that, the answer breaks off.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);

/// What `write` writes.
pub(super) fn body(is_gzip: bool, write: impl FnOnce(Box<dyn Write>) -> io::Result<Box<dyn Write>> + Send + 'static) -> Body {
    let (sender, mut receiver) = channel::<io::Result<Bytes>>(PIECES_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let pieces = Pieces {
            piece: Vec::with_capacity(PIECE_BYTES),
            sender: sender.clone(),
            runtime: runtime.clone(),
        };
        let out: Box<dyn Write> = if is_gzip {
            Box::new(Gzip(Some(GzEncoder::new(pieces, Compression::fast()))))
        } else {
            Box::new(pieces)
        };
        let written = write(out).and_then(|mut out| out.flush());
        if let Err(error) = written {
            // The client must not take what it has for the whole.
            runtime.block_on(sender.send_timeout(Err(error), PIECE_TIMEOUT)).ok();
        }
    });
    Body::from_stream(poll_fn(move |context| receiver.poll_recv(context)))
}

struct Pieces {
    piece: Vec<u8>,
    sender: Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Write for Pieces {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(octets);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES)));
        let sent = self.runtime.block_on(self.sender.send_timeout(Ok(piece), PIECE_TIMEOUT));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// Flushed once, at its end.
struct Gzip(Option<GzEncoder<Pieces>>);

impl Write for Gzip {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |encoder| encoder.write(octets))
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.take() {
            Some(encoder) => encoder.finish()?.flush(),
            None => Ok(()),
        }
    }
}
