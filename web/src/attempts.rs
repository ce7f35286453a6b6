//! `/api/auth/attempts`: how many logins there were, by protocol; and what a password's hash is.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::names::NODE;
use crate::{Api, Site};

fn views(api: &Api) -> Value {
    let view = |protocol: &str, (succeeded, failed): (u64, u64)| {
        json!({
            "protocol": protocol,
            "auth_attempts": succeeded + failed,
            "auth_attempts_failed": failed,
            "auth_attempts_succeeded": succeeded,
        })
    };
    let http = api.logins.attempts();
    json!([
        view("http", (http.succeeded, http.failed)),
        view("amqp091", api.broker.login_attempts())
    ])
}

fn check(node: &str) -> Result<(), Failure> {
    if node == NODE { Ok(()) } else { Err(Failure::not_found()) }
}

pub(crate) async fn get(State(api): Site, Path(node): Path<String>) -> Result<Json<Value>, Failure> {
    check(&node)?;
    Ok(Json(views(&api)))
}

/// By address: none is kept, as RabbitMQ does by default (`track_auth_attempt_source`).
pub(crate) async fn by_source(Path(node): Path<String>) -> Result<Json<Value>, Failure> {
    check(&node)?;
    Ok(Json(json!([])))
}

pub(crate) async fn reset(State(api): Site, Path(node): Path<String>) -> Result<StatusCode, Failure> {
    check(&node)?;
    api.logins.reset();
    api.broker.reset_login_attempts();
    Ok(StatusCode::NO_CONTENT)
}
