//! A connection's socket, TCP or Unix: the connection's task reads it, whoever has something for the client writes it.

use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// A socket that was accepted, and belongs to no runtime yet.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// Its side to be read.
#[derive(Debug)]
pub(crate) enum Source {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// Its side to be written.
#[derive(Debug)]
pub(crate) enum Sink {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl Socket {
    /// The broker's own end of it; none over a Unix socket.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Hands the socket to the runtime that this is called on.
    pub(crate) fn split(self) -> io::Result<(Source, Sink)> {
        Ok(match self {
            Self::Tcp(socket) => {
                let (read, write) = TcpStream::from_std(socket)?.into_split();
                (Source::Tcp(read), Sink::Tcp(write))
            }
            Self::Unix(socket) => {
                let (read, write) = UnixStream::from_std(socket)?.into_split();
                (Source::Unix(read), Sink::Unix(write))
            }
        })
    }
}

impl Source {
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buffer),
            Self::Unix(half) => Pin::new(half).poll_read(cx, buffer),
        }
    }

    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.read(buffer).await,
            Self::Unix(half) => half.read(buffer).await,
        }
    }
}

impl Sink {
    /// Writes what the socket takes without waiting.
    pub(crate) fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write(octets),
            Self::Unix(half) => half.try_write(octets),
        }
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(half) => half.try_write_vectored(parts),
            Self::Unix(half) => half.try_write_vectored(parts),
        }
    }

    /// Waits until the socket takes more.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(half) => half.writable().await,
            Self::Unix(half) => half.writable().await,
        }
    }

    /// Nothing more will be written.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        match self {
            Self::Tcp(half) => socket2::SockRef::from(half.as_ref()).shutdown(Shutdown::Write),
            Self::Unix(half) => socket2::SockRef::from(half.as_ref()).shutdown(Shutdown::Write),
        }
    }

    /// Once it is closed, the peer is told by a reset. (A Unix socket's peer sees any end at its next write.)
    pub(crate) fn reset_at_close(&self) {
        if let Self::Tcp(half) = self {
            // If it fails, the end is an ordinary one.
            drop(socket2::SockRef::from(half.as_ref()).set_linger(Some(Duration::ZERO)));
        }
    }
}

/// For those who write by [`Write`]: rustls.
impl Write for &Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.try_write(octets)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
