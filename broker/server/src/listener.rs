//! Accepts connections and spreads them over the runtimes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::broker::Broker;
use crate::connection;

/// How long accepting rests when the process has no file descriptors left.
const REST: Duration = Duration::from_millis(100);

/// Binds the address, without serving it yet.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    // A restart must not wait for the connections of the process before it.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// Accepts until the runtime ends.
pub(crate) async fn accept(broker: Arc<Broker>, listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "gone before it was served");
                    continue;
                }
                match socket.into_std() {
                    Ok(socket) => drop(broker.next_runtime().spawn(connection::run(broker.clone(), socket, peer))),
                    Err(error) => tracing::debug!(%peer, %error, "gone before it was served"),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections for now: raise the limit of open files?");
                tokio::time::sleep(REST).await;
            }
        }
    }
}
