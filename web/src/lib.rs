//! The HTTP surface: management API and dashboard. It reads snapshots of the broker and has no way of its own into the core.
//!
//! Paths, fields and status codes are those of RabbitMQ's management API, so that its tools work.

mod auth;
mod contents;
mod delayed;
mod latency;
mod limits;
mod overview;
mod pause;
mod percent;
mod policies;
mod properties;
mod query;
mod queues;
mod tables;
mod topic_permissions;
mod unacked;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use stoa_server::Broker;
use tokio::net::TcpListener;

/// Serves HTTP until the listener fails.
///
/// # Errors
/// What the operating system said of the listener.
pub async fn serve(broker: Arc<Broker>, listener: TcpListener) -> std::io::Result<()> {
    axum::serve(listener, router(broker).into_make_service_with_connect_info::<SocketAddr>()).await
}

fn router(broker: Arc<Broker>) -> Router {
    let api = Router::new()
        .route("/api/overview", get(overview::get))
        .route("/api/queues", get(queues::list))
        .route("/api/queues/{vhost}", get(queues::list_in_vhost))
        .route("/api/queues/{vhost}/{name}", get(queues::get))
        .merge(contents::routes())
        .merge(delayed::routes())
        .merge(unacked::routes())
        .merge(policies::routes())
        .merge(limits::routes())
        .merge(pause::routes())
        .merge(topic_permissions::routes())
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(broker.clone(), auth::require_user))
        .with_state(broker);
    Router::new()
        .route("/", get(page))
        .merge(api)
        .layer(middleware::map_response(harden))
}

async fn page() -> Html<&'static str> {
    Html(include_str!("../assets/index.html"))
}

async fn not_found() -> Failure {
    Failure {
        status: StatusCode::NOT_FOUND,
        error: "Object Not Found",
        reason: "Not Found".into(),
    }
}

fn bad_request(reason: String) -> Failure {
    Failure {
        status: StatusCode::BAD_REQUEST,
        error: "bad_request",
        reason,
    }
}

fn no_vhost() -> Failure {
    Failure {
        status: StatusCode::NOT_FOUND,
        error: "not_found",
        reason: "vhost_not_found".into(),
    }
}

/// The broker could not make a change last.
fn store_failed() -> Failure {
    Failure {
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: "service_unavailable",
        reason: "the store has failed".into(),
    }
}

/// The page brings everything along: nothing is loaded from elsewhere, and nobody may frame it.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// An error as RabbitMQ's API words it.
#[derive(Debug, Serialize)]
struct Failure {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    reason: String,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, axum::Json(self)).into_response()
    }
}
