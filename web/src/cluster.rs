//! What RabbitMQ says of its cluster and its parts: name, extensions, feature flags, deprecated features, rebalancing, ways to log in.
//! Stoa is one node, and what is a flag or a plugin there is simply there here.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::body::{Body, Field, required};
use crate::failure::Failure;
use crate::query::Query;
use crate::{Site, listing};

/// What names the cluster.
pub(crate) const NAME: &[Field] = &[required("name", "string")];

pub(crate) async fn name(State(api): Site) -> Json<Value> {
    Json(json!({"name": api.broker.cluster_name()}))
}

pub(crate) async fn set_name(State(api): Site, body: Body) -> Result<StatusCode, Failure> {
    let name = body.required_text("name")?;
    api.broker.set_global_parameter("cluster_name", &name.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// No extension has a page of its own.
pub(crate) async fn extensions() -> Json<Value> {
    Json(json!([]))
}

/// As RabbitMQ without OAuth 2.
pub(crate) async fn auth() -> Json<Value> {
    Json(json!({"oauth_enabled": false, "enable_uaa": false, "uaa_client_id": "", "uaa_location": ""}))
}

/// RabbitMQ 3.13's flags whose behaviour Stoa has.
const FLAGS: [(&str, &str); 9] = [
    (
        "classic_mirrored_queue_version",
        "Support setting version for classic mirrored queues",
    ),
    ("classic_queue_type_delivery_support", "Bug fix for classic queue deliveries"),
    ("direct_exchange_routing_v2", "v2 direct exchange routing implementation"),
    ("drop_unroutable_metric", "Count unroutable publishes to be dropped in stats"),
    ("empty_basic_get_metric", "Count AMQP `basic.get` on empty queues in stats"),
    (
        "implicit_default_bindings",
        "Default bindings are now implicit, instead of being stored in the database",
    ),
    ("quorum_queue", "Support queues of type `quorum`"),
    ("user_limits", "Configure connection and channel limits for a user"),
    ("virtual_host_metadata", "Virtual host metadata (description, tags, etc)"),
];

fn flag((name, description): (&str, &str)) -> Value {
    json!({
        "name": name,
        "desc": description,
        "doc_url": "",
        "state": "enabled",
        "stability": "required",
        "provided_by": "stoa",
    })
}

pub(crate) async fn feature_flags(query: Query) -> Result<Response, Failure> {
    listing::list(FLAGS.map(flag).into(), &query).await
}

/// All flags are on already.
pub(crate) async fn enable_feature_flag(Path(name): Path<String>) -> Result<StatusCode, Failure> {
    if name == "all" || FLAGS.iter().any(|(known, _)| *known == name) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Failure::bad_request(format!("Feature flag {name} is not supported")))
}

/// What RabbitMQ has deprecated and Stoa keeps.
const DEPRECATED: [(&str, &str); 2] = [
    (
        "global_qos",
        "`basic.qos` with `global` set: prefetch limits shared by the consumers of a channel",
    ),
    ("transient_nonexcl_queues", "Queues that are neither durable nor exclusive"),
];

pub(crate) async fn deprecated_features(query: Query) -> Result<Response, Failure> {
    let feature = |(name, description): (&str, &str)| {
        json!({
            "name": name,
            "desc": description,
            "deprecation_phase": "permitted_by_default",
            "doc_url": "",
            "provided_by": "stoa",
            "state": "permitted",
        })
    };
    listing::list(DEPRECATED.map(feature).into(), &query).await
}

/// Nobody is told what is in use: it is permitted for good.
pub(crate) async fn deprecated_features_used(query: Query) -> Result<Response, Failure> {
    listing::list(Vec::<Value>::new(), &query).await
}

/// Queues of one node are where they belong.
pub(crate) async fn rebalance() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// There are no links to other brokers: what asks for them finds none.
pub(crate) async fn no_links(query: Query) -> Result<Response, Failure> {
    listing::list(Vec::<Value>::new(), &query).await
}
