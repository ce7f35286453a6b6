//! `/api/topic-permissions`: all of them, and those of a user in a virtual host to read, set and clear, for one exchange or for all.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use stoa_amqp::ShortString;
use stoa_server::{AdministrationError, Broker, LimitOf, TopicPermission};

use crate::auth::Caller;
use crate::{Failure, bad_request, not_found, store_failed};

#[derive(Debug, Serialize)]
struct View {
    user: String,
    vhost: String,
    exchange: String,
    write: String,
    read: String,
}

impl From<TopicPermission> for View {
    fn from(permission: TopicPermission) -> Self {
        Self {
            user: permission.user.to_string(),
            vhost: permission.vhost.to_string(),
            exchange: permission.exchange.as_str_lossy().into_owned(),
            write: permission.permissions.write.into(),
            read: permission.permissions.read.into(),
        }
    }
}

pub(crate) fn routes() -> Router<Arc<Broker>> {
    Router::new()
        .route("/api/topic-permissions", get(list))
        .route("/api/topic-permissions/{vhost}/{user}", get(list_of).put(set).delete(clear))
        .route("/api/topic-permissions/{vhost}/{user}/{exchange}", axum::routing::delete(clear_one))
}

type Site = State<Arc<Broker>>;

async fn list(State(broker): Site, Extension(caller): Extension<Caller>) -> Result<Json<Vec<View>>, Failure> {
    caller.check_administrator()?;
    Ok(Json(broker.topic_permissions().into_iter().map(View::from).collect()))
}

fn of(broker: &Broker, vhost: &str, user: &str) -> Vec<View> {
    let all = broker.topic_permissions().into_iter();
    let own = all.filter(|permission| *permission.vhost == *vhost && *permission.user == *user);
    own.map(View::from).collect()
}

/// As in RabbitMQ, where there are none there is nothing to be found.
async fn list_of(
    State(broker): Site,
    Extension(caller): Extension<Caller>,
    Path((vhost, user)): Path<(String, String)>,
) -> Result<Json<Vec<View>>, Failure> {
    caller.check_administrator()?;
    let own = of(&broker, &vhost, &user);
    if own.is_empty() {
        return Err(not_found().await);
    }
    Ok(Json(own))
}

async fn set(
    State(broker): Site,
    Extension(caller): Extension<Caller>,
    Path((vhost, user)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    caller.check_administrator()?;
    if !broker.has_vhost(&vhost) || broker.limits(LimitOf::User, &user).is_none() {
        return Err(bad_request("vhost_or_user_not_found".into()));
    }
    let is_new = of(&broker, &vhost, &user).is_empty();
    let [exchange, write, read] = fields(&body)?;
    let exchange = ShortString::new(exchange.as_bytes()).map_err(|_| bad_request("a name is longer than 255 octets".into()))?;
    match broker.set_topic_permissions(&user, &vhost, &exchange, (&write, &read)).await {
        Ok(()) if is_new => Ok(StatusCode::CREATED),
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(AdministrationError::NotDurable) => Err(store_failed()),
        Err(refused) => Err(bad_request(refused.to_string())),
    }
}

/// What the body must say.
fn fields(body: &[u8]) -> Result<[String; 3], Failure> {
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| bad_request("not_json".into()))?;
    let names = ["exchange", "write", "read"];
    let missing = names.iter().filter(|name| !body.contains_key(**name));
    let missing: Vec<_> = missing.map(|name| format!("{{key_missing,{name}}}")).collect();
    if !missing.is_empty() {
        return Err(bad_request(format!("[{}]", missing.join(","))));
    }
    let mut texts = names.map(|name| body.get(name).and_then(Value::as_str).map(str::to_owned));
    match &mut texts {
        [Some(exchange), Some(write), Some(read)] => Ok([exchange, write, read].map(std::mem::take)),
        _ => Err(bad_request("exchange, write and read should be strings".into())),
    }
}

async fn clear(state: Site, caller: Extension<Caller>, Path((vhost, user)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    forget(state, caller, &vhost, &user, None).await
}

async fn clear_one(
    state: Site,
    caller: Extension<Caller>,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Result<StatusCode, Failure> {
    let Ok(exchange) = ShortString::new(exchange.as_bytes()) else {
        return Err(not_found().await);
    };
    forget(state, caller, &vhost, &user, Some(&exchange)).await
}

async fn forget(
    State(broker): Site,
    Extension(caller): Extension<Caller>,
    vhost: &str,
    user: &str,
    exchange: Option<&ShortString>,
) -> Result<StatusCode, Failure> {
    caller.check_administrator()?;
    match broker.clear_topic_permissions(user, vhost, exchange).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(not_found().await),
        Err(_) => Err(store_failed()),
    }
}
