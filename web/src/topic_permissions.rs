//! `/api/topic-permissions`: all of them, and those of a user in a virtual host to read, set and clear, for one exchange or for all.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use stoa_amqp::ShortString;
use stoa_server::{AdministrationError, Broker, LimitOf, TopicPermission};

use crate::body::{Body, Field, required};
use crate::failure::Failure;
use crate::query::Query;
use crate::{Api, Site, listing};

/// What topic permissions are set with.
pub(crate) const PERMISSION: &[Field] = &[
    required("exchange", "string"),
    required("write", "string"),
    required("read", "string"),
];

/// Topic permissions as they are shown.
pub(crate) fn view(permission: &TopicPermission) -> Value {
    json!({
        "user": &*permission.user,
        "vhost": &*permission.vhost,
        "exchange": permission.exchange.as_str_lossy(),
        "write": &*permission.permissions.write,
        "read": &*permission.permissions.read,
    })
}

/// Those that fit.
pub(crate) fn views(broker: &Broker, fits: impl Fn(&TopicPermission) -> bool) -> Vec<Value> {
    broker
        .topic_permissions()
        .iter()
        .filter(|permission| fits(permission))
        .map(view)
        .collect()
}

fn of(broker: &Broker, vhost: &str, user: &str) -> Vec<Value> {
    views(broker, |permission| *permission.vhost == *vhost && *permission.user == *user)
}

pub(crate) async fn list(State(api): Site, query: Query) -> Result<Response, Failure> {
    listing::list(views(&api.broker, |_| true), &query).await
}

/// As in RabbitMQ, where there are none there is nothing to be found.
pub(crate) async fn list_of(State(api): Site, Path((vhost, user)): Path<(String, String)>, query: Query) -> Result<Response, Failure> {
    let own = of(&api.broker, &vhost, &user);
    if own.is_empty() {
        return Err(Failure::not_found());
    }
    listing::list(own, &query).await
}

pub(crate) async fn set(State(api): Site, Path((vhost, user)): Path<(String, String)>, body: Body) -> Result<StatusCode, Failure> {
    match put(&api.broker, &vhost, &user, &body).await? {
        true => Ok(StatusCode::CREATED),
        false => Ok(StatusCode::NO_CONTENT),
    }
}

/// Sets topic permissions with the fields of a body. Gives whether there were none.
pub(crate) async fn put(broker: &Arc<Broker>, vhost: &str, user: &str, body: &Body) -> Result<bool, Failure> {
    if !broker.has_vhost(vhost) || broker.limits(LimitOf::User, user).is_none() {
        return Err(Failure::bad_request("vhost_or_user_not_found"));
    }
    let is_new = of(broker, vhost, user).is_empty();
    body.require(&["exchange", "write", "read"])?;
    let [exchange, write, read] = ["exchange", "write", "read"].map(|name| body.required_text(name));
    let exchange = ShortString::new(exchange?.as_bytes()).map_err(|_| Failure::bad_request("a name is longer than 255 octets"))?;
    match broker.set_topic_permissions(user, vhost, &exchange, (write?, read?)).await {
        Ok(()) => Ok(is_new),
        Err(AdministrationError::NotDurable) => Err(Failure::store_failed()),
        Err(refused) => Err(Failure::bad_request(refused.to_string())),
    }
}

pub(crate) async fn clear(State(api): Site, Path((vhost, user)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    forget(&api, &vhost, &user, None).await
}

pub(crate) async fn clear_one(
    State(api): Site,
    Path((vhost, user, exchange)): Path<(String, String, String)>,
) -> Result<StatusCode, Failure> {
    let exchange = ShortString::new(exchange.as_bytes()).map_err(|_| Failure::not_found())?;
    forget(&api, &vhost, &user, Some(&exchange)).await
}

async fn forget(api: &Api, vhost: &str, user: &str, exchange: Option<&ShortString>) -> Result<StatusCode, Failure> {
    match api.broker.clear_topic_permissions(user, vhost, exchange).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(Failure::not_found()),
        Err(_) => Err(Failure::store_failed()),
    }
}
