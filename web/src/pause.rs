//! `PUT /api/queues/{vhost}/{name}/pause` and `/resume`, as LavinMQ has them: while a queue is paused, nobody is given anything of it; publishing
//! goes on, and so does the time of its messages. It takes what a policy takes, for a paused queue concerns all who use it.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::put;
use stoa_server::Broker;

use crate::auth::Caller;
use crate::{Failure, not_found, store_failed};

/// Whether a path pauses or resumes.
#[derive(Clone, Copy)]
struct Paused(bool);

pub(crate) fn routes() -> Router<Arc<Broker>> {
    let paths = [("pause", Paused(true)), ("resume", Paused(false))];
    paths.into_iter().fold(Router::new(), |router, (verb, paused)| {
        let path = format!("/api/queues/{{vhost}}/{{name}}/{verb}");
        router.merge(Router::new().route(&path, put(set)).layer(Extension(paused)))
    })
}

async fn set(
    State(broker): State<Arc<Broker>>,
    Extension(Paused(paused)): Extension<Paused>,
    Extension(caller): Extension<Caller>,
    Path((vhost, name)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    caller.check_policymaker(&broker, &vhost)?;
    match broker.pause_queue(&vhost, &name, paused).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(not_found().await),
        Err(_) => Err(store_failed()),
    }
}
