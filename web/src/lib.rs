//! The HTTP surface: management API and dashboard. It reads snapshots of the broker and has no way of its own into the core.
//!
//! Paths, fields and status codes are those of RabbitMQ's management API, so that its tools work.
//!
//! ```text
//! server -> outside (headers, trailing slashes, CORS) -> routes -> auth::guard -> a handler in the file of its resource -> listing
//! ```
//!
//! To add a route: a line in `routes/`, and a handler, with what it takes and answers, in the file of its resource.

mod assets;
mod attempts;
mod attention;
mod auth;
mod bindings;
mod body;
mod clock;
mod cluster;
mod connections;
mod contents;
mod definitions;
mod delayed;
mod exchanges;
mod failure;
mod health;
mod latency;
mod limits;
mod listing;
mod logins;
mod messages;
mod metrics;
mod names;
mod nodes;
mod openapi;
mod outside;
mod overview;
mod parameters;
mod pause;
mod percent;
mod picks;
mod policies;
mod properties;
mod query;
mod queues;
mod refusal;
mod route;
mod routes;
mod sampled;
mod samples;
mod server;
mod sessions;
mod tables;
mod topic_permissions;
mod unacked;
mod users;
mod vhosts;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use stoa_server::{Broker, ManagementConfig};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::logins::Logins;
use crate::samples::Samples;
use crate::sessions::Sessions;

/// Scrapes of metrics at a time; further ones wait for their turn.
const SCRAPES_MAX: usize = 4;

/// What all handlers share.
pub(crate) struct Api {
    pub(crate) broker: Arc<Broker>,
    pub(crate) logins: Logins,
    pub(crate) sessions: Sessions,
    pub(crate) samples: Samples,
    /// Scrapes under way at a time.
    pub(crate) scrapes: Arc<Semaphore>,
    /// Where it is served.
    pub(crate) address: SocketAddr,
}

/// What handlers get it as.
pub(crate) type Site = State<Arc<Api>>;

impl Api {
    fn new(broker: Arc<Broker>, address: SocketAddr) -> Arc<Self> {
        let config = &broker.config().management;
        Arc::new(Self {
            logins: Logins::default(),
            sessions: Sessions::new(config),
            samples: Samples::new(config),
            scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)),
            broker,
            address,
        })
    }

    pub(crate) fn config(&self) -> &ManagementConfig {
        &self.broker.config().management
    }
}

/// Serves HTTP until the listener fails, and at the other listeners metrics alone, for which nobody has to log in.
///
/// # Errors
/// What the operating system said of the listener.
pub async fn serve(broker: Arc<Broker>, listener: TcpListener, prometheus: Vec<TcpListener>) -> std::io::Result<()> {
    let api = Api::new(broker, listener.local_addr()?);
    let sampling = tokio::spawn(samples::run(api.clone()));
    let alone = prometheus.into_iter().map(|listener| {
        let api = api.clone();
        tokio::spawn(async move { server::run(listener, outside::around(metrics::router(&api), api.config()), api.config()).await })
    });
    let alone: Vec<_> = alone.collect();
    let ended = server::run(listener, router(&api), api.config()).await;
    alone.iter().for_each(tokio::task::JoinHandle::abort);
    sampling.abort();
    ended
}

fn router(api: &Arc<Api>) -> Router {
    let routes = route::router(routes::all(), api)
        .fallback(outside::not_found)
        .method_not_allowed_fallback(outside::method_not_allowed)
        .with_state(api.clone());
    outside::around(routes, api.config())
}
