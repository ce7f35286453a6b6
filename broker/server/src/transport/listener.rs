//! Accepts connections and spreads them over the runtimes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};

use super::admission::Seat;
use super::peer::Peer;
use super::socket::Socket;
use super::tls::Certificates;
use crate::broker::Broker;
use crate::config::{Config, TcpListen, UnixListen};
use crate::connection;

/// How long accepting rests when the process has no file descriptors left.
const REST: Duration = Duration::from_millis(100);

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// Where clients are listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listening {
    /// AMQP over TCP.
    Amqp(SocketAddr),
    /// AMQP over TLS.
    Amqps(SocketAddr),
    /// AMQP over a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amqp(address) => write!(f, "amqp://{address}"),
            Self::Amqps(address) => write!(f, "amqps://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A listener that is bound and not served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: ListenSocket,
    pub(crate) at: Listening,
    tls: Option<Arc<Certificates>>,
    /// Every connection begins with a header of the PROXY protocol.
    proxied: bool,
}

#[derive(Debug)]
enum ListenSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// A connection that has just been accepted.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) peer: Peer,
    pub(crate) tls: Option<Arc<Certificates>>,
    pub(crate) proxied: bool,
    pub(crate) seat: Seat,
}

/// Binds all that is configured, without serving it yet. Of an error it says where.
pub(crate) fn bind(config: &Config, tls: Option<&Arc<Certificates>>) -> Result<Vec<Bound>, (Listening, io::Error)> {
    let plain = config.amqp.iter().map(|at| (at, None));
    let secured = config.amqps.iter().map(|at| (at, tls.cloned()));
    let tcp = plain.chain(secured).map(|(at, tls)| {
        let scheme = if tls.is_some() { Listening::Amqps } else { Listening::Amqp };
        bind_tcp(at, tls).map_err(|error| (scheme(at.address), error))
    });
    let unix = config
        .amqp_unix
        .iter()
        .map(|at| bind_unix(at).map_err(|error| (Listening::Unix(at.path.clone()), error)));
    tcp.chain(unix).collect()
}

fn bind_tcp(at: &TcpListen, tls: Option<Arc<Certificates>>) -> io::Result<Bound> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(at.address), socket2::Type::STREAM, None)?;
    // A restart must not wait for the connections of the process before it.
    socket.set_reuse_address(true)?;
    if at.address.is_ipv6() {
        // What is bound says what is served: IPv4 has a listener of its own.
        socket.set_only_v6(true)?;
    }
    socket.bind(&at.address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket: std::net::TcpListener = socket.into();
    let address = socket.local_addr()?;
    let scheme = if tls.is_some() { Listening::Amqps } else { Listening::Amqp };
    Ok(Bound {
        at: scheme(address),
        socket: ListenSocket::Tcp(socket),
        tls,
        proxied: at.proxied,
    })
}

fn bind_unix(at: &UnixListen) -> io::Result<Bound> {
    remove_stale(&at.path)?;
    let socket = std::os::unix::net::UnixListener::bind(&at.path)?;
    socket.set_nonblocking(true)?;
    Ok(Bound {
        at: Listening::Unix(at.path.clone()),
        socket: ListenSocket::Unix(socket),
        tls: None,
        proxied: at.proxied,
    })
}

/// A process that was killed leaves its socket behind. It is removed if nobody listens there; anything but a socket is left alone.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Ok(()),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

/// Accepts until the runtime ends.
pub(crate) async fn accept(broker: Arc<Broker>, bound: Bound) -> io::Result<()> {
    let listener = match bound.socket {
        ListenSocket::Tcp(socket) => Listener::Tcp(TcpListener::from_std(socket)?),
        ListenSocket::Unix(socket) => Listener::Unix(UnixListener::from_std(socket)?),
    };
    let mut turned_away = 0_u64;
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(Refusal::Gone(error)) => {
                tracing::debug!(%error, "gone before it was served");
                continue;
            }
            Err(Refusal::Failed(error)) => {
                tracing::warn!(%error, "cannot accept connections for now: raise the limit of open files?");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let handshakes_max = broker.config.limits.handshakes_max;
        let Some(seat) = broker.admission.enter(handshakes_max) else {
            turned_away += 1;
            // A flood of connections must not become a flood of log lines.
            if turned_away.is_power_of_two() {
                tracing::warn!(%peer, turned_away, "closed at once: {handshakes_max} connections are in the handshake (limits.handshakes_max)");
            }
            continue;
        };
        let arrival = Arrival {
            socket,
            peer,
            tls: bound.tls.clone(),
            proxied: bound.proxied,
            seat,
        };
        drop(broker.next_runtime().spawn(connection::run(broker.clone(), arrival)));
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why there is no connection.
enum Refusal {
    /// The client did not wait.
    Gone(io::Error),
    /// Nobody can be accepted.
    Failed(io::Error),
}

impl Listener {
    async fn accept(&self) -> Result<(Socket, Peer), Refusal> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept().await.map_err(Refusal::Failed)?;
                socket.set_nodelay(true).map_err(Refusal::Gone)?;
                let socket = socket.into_std().map_err(Refusal::Gone)?;
                Ok((Socket::Tcp(socket), Peer::Ip(peer)))
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await.map_err(Refusal::Failed)?;
                let socket = socket.into_std().map_err(Refusal::Gone)?;
                Ok((Socket::Unix(socket), Peer::Unix))
            }
        }
    }
}
