//! Accepts HTTP connections: as many as are allowed, and none that stays silent for ever.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use stoa_server::ManagementConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// How long accepting rests when the process has no file descriptors left.
const REST: Duration = Duration::from_millis(100);

/// Octets of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Serves for ever.
pub(crate) async fn run(listener: TcpListener, router: Router, config: &ManagementConfig) -> std::io::Result<()> {
    let seats = Arc::new(Semaphore::new(config.connections_max));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else {
            return Ok(());
        };
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection was not accepted");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let (router, idle) = (router.clone(), config.idle_timeout);
        tokio::spawn(async move {
            if let Err(error) = serve(socket, peer, router, idle).await {
                tracing::debug!(%peer, %error, "an HTTP connection ended");
            }
            drop(seat);
        });
    }
}

async fn serve(socket: TcpStream, peer: SocketAddr, router: Router, idle: Duration) -> Result<(), hyper::Error> {
    socket.set_nodelay(true).ok();
    let service = router.map_request(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service))
        .await
}
