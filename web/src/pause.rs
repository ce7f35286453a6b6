//! `PUT /api/queues/{vhost}/{queue}/pause` and `/resume`, as LavinMQ has them: while a queue is paused, nobody is given anything of it; publishing
//! goes on, and so does the time of its messages. It takes what a policy takes, for a paused queue concerns all who use it.

use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::failure::Failure;
use crate::{Api, Site};

type Name = Path<(String, String)>;

pub(crate) async fn pause(State(api): Site, Path((vhost, queue)): Name) -> Result<StatusCode, Failure> {
    set(&api, &vhost, &queue, true).await
}

pub(crate) async fn resume(State(api): Site, Path((vhost, queue)): Name) -> Result<StatusCode, Failure> {
    set(&api, &vhost, &queue, false).await
}

async fn set(api: &Api, vhost: &str, queue: &str, paused: bool) -> Result<StatusCode, Failure> {
    match api.broker.pause_queue(vhost, queue, paused).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(Failure::not_found()),
        Err(_) => Err(Failure::store_failed()),
    }
}
