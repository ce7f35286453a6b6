//! What a connection reads: from its socket or out of TLS, into the thread's own buffer, and at once taken by the session.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::publish::Batch;
use super::session::Wait;
use super::{Connection, Stage};

/// Per thread: what is read into, and what becomes of it.
pub(super) struct Scratch {
    input: Vec<u8>,
    /// What TLS has to decrypt first; empty on threads that have never had such a connection.
    cipher: Vec<u8>,
    pub(super) batch: Batch,
}

/// Octets read at a time.
const READ_SIZE: usize = 256 << 10;

/// After a read of this size the thread's other connections have their turn.
const MUCH: usize = READ_SIZE / 4;

/// Octets of TLS read at a time. What they hold, and what an incomplete record before them held back, fits into half of [`READ_SIZE`].
const CIPHER_SIZE: usize = READ_SIZE / 4;

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { input: vec![0; READ_SIZE], cipher: Vec::new(), batch: Batch::default() });
}

impl Connection {
    /// One read, and everything that follows from it. `None`: the client has closed.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<Option<Option<Wait>>>> {
        SCRATCH.with_borrow_mut(|Scratch { input, cipher, batch }| {
            let carried = self.carry.len();
            if input.len() < carried + READ_SIZE / 2 {
                input.resize(carried + READ_SIZE, 0);
            }
            input[..carried].copy_from_slice(&self.carry);
            let room = &mut input[carried..];
            let n = if self.secured {
                match ready!(self.poll_read_tls(cx, cipher, room))? {
                    // The session was busy with itself, and may have something to say.
                    Some(0) => return Poll::Ready(Ok(Some(None))),
                    Some(n) => n,
                    None => 0,
                }
            } else {
                ready!(self.poll_read_socket(cx, room))?
            };
            if n == 0 {
                return Poll::Ready(Ok(None));
            }
            self.presence.received.fetch_add(n as u64, Ordering::Relaxed);
            self.heard = true;
            self.read_much = n >= MUCH;
            let (taken, wait) = self.take(batch, carried + n, input);
            self.carry.clear();
            if taken < carried + n {
                self.carry.extend_from_slice(&input[taken..carried + n]);
            } else if self.carry.capacity() > 0 {
                self.carry = Vec::new();
            }
            if input.len() > 2 * READ_SIZE {
                input.truncate(READ_SIZE);
                input.shrink_to_fit();
            }
            Poll::Ready(Ok(Some(wait)))
        })
    }

    /// Octets as they are on the wire; none: the client has closed.
    fn poll_read_socket(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<std::io::Result<usize>> {
        if !self.preread.is_empty() {
            let n = self.preread.len().min(room.len());
            room[..n].copy_from_slice(&self.preread[..n]);
            self.preread.drain(..n);
            return Poll::Ready(Ok(n));
        }
        let mut buffer = ReadBuf::new(room);
        ready!(self.source.poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Octets out of TLS. `None`: the client has closed.
    fn poll_read_tls(&mut self, cx: &mut Context<'_>, cipher: &mut Vec<u8>, room: &mut [u8]) -> Poll<std::io::Result<Option<usize>>> {
        if self.tls_closed {
            return Poll::Ready(Ok(None));
        }
        cipher.resize(CIPHER_SIZE, 0);
        let n = ready!(self.poll_read_socket(cx, cipher))?;
        if n == 0 {
            return Poll::Ready(Ok(None));
        }
        self.heard = true;
        let mut state = self.outlet.lock();
        let Some(session) = &mut state.tls else {
            return Poll::Ready(Ok(None));
        };
        match session.take(&cipher[..n], room) {
            Ok((0, true)) => Poll::Ready(Ok(None)),
            Ok((filled, closed)) => {
                self.tls_closed = closed;
                Poll::Ready(Ok(Some(filled)))
            }
            Err(error) => {
                tracing::warn!(peer = %self.presence.peer, "TLS: {error}");
                Poll::Ready(Err(ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Goes on with what was read before a wait.
    pub(super) fn take_carried(&mut self) -> Option<Wait> {
        SCRATCH.with_borrow_mut(|Scratch { batch, .. }| {
            let carry = std::mem::take(&mut self.carry);
            let (taken, wait) = self.take(batch, carry.len(), &carry);
            self.carry = carry[taken..].to_vec();
            wait
        })
    }

    fn take(&mut self, batch: &mut Batch, size: usize, input: &[u8]) -> (usize, Option<Wait>) {
        let mut taken = 0;
        loop {
            let rest = &input[taken..size];
            match &mut self.stage {
                Stage::Open(open) => {
                    let (more, wait) = open.take(&self.broker, batch, rest);
                    if wait == Some(Wait::Alarm) {
                        self.presence.blocked.store(true, Ordering::Relaxed);
                    }
                    if let Some(Wait::Rate(_) | Wait::Pressure(..)) = wait {
                        self.presence.throttle(&self.broker);
                    }
                    self.flush();
                    return (taken + more, wait);
                }
                Stage::Handshake(_) => match self.shake_hands(rest) {
                    Some(n) => taken += n,
                    None => return (taken, self.awaits_verdict().then_some(Wait::Login)),
                },
            }
        }
    }
}
