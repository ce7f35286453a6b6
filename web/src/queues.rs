//! `GET /api/queues`, `/api/queues/{vhost}`, `/api/queues/{vhost}/{name}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use stoa_server::{Broker, Policy, QueueView};

use crate::Failure;
use crate::latency;
use crate::tables::to_json;

#[derive(Debug, Serialize)]
pub(crate) struct Queue {
    name: String,
    vhost: String,
    #[serde(rename = "type")]
    kind: &'static str,
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
    arguments: Value,
    node: &'static str,
    state: &'static str,
    messages: u64,
    messages_ready: u64,
    messages_unacknowledged: u64,
    message_bytes: u64,
    consumers: u32,
    policy: Option<String>,
    operator_policy: Option<String>,
    effective_policy_definition: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Value>,
}

impl From<&QueueView> for Queue {
    fn from(view: &QueueView) -> Self {
        let QueueView {
            queue,
            counts,
            governing,
            paused,
        } = view;
        let name = |policy: &Option<Arc<Policy>>| policy.as_ref().map(|policy| policy.name.to_string());
        Self {
            name: queue.name.as_str_lossy().into_owned(),
            vhost: queue.vhost.to_string(),
            kind: queue.type_name(),
            durable: queue.durable,
            auto_delete: queue.auto_delete,
            exclusive: queue.exclusive.is_some(),
            arguments: to_json(&queue.arguments),
            node: "stoa@localhost",
            state: if *paused { "paused" } else { "running" },
            messages: counts.ready + counts.unacked,
            messages_ready: counts.ready,
            messages_unacknowledged: counts.unacked,
            message_bytes: counts.bytes,
            consumers: counts.consumers,
            policy: name(&governing.policy),
            operator_policy: name(&governing.operator),
            effective_policy_definition: to_json(&governing.definition().unwrap_or_default()),
            latency: None,
        }
    }
}

/// All queues.
pub(crate) async fn list(State(broker): State<Arc<Broker>>) -> Json<Vec<Queue>> {
    Json(broker.queues().iter().map(Queue::from).collect())
}

/// Those of one virtual host.
pub(crate) async fn list_in_vhost(State(broker): State<Arc<Broker>>, Path(vhost): Path<String>) -> Result<Json<Vec<Queue>>, Failure> {
    if !broker.has_vhost(&vhost) {
        return Err(crate::not_found().await);
    }
    Ok(Json(
        broker
            .queues()
            .iter()
            .filter(|view| *view.queue.vhost == *vhost)
            .map(Queue::from)
            .collect(),
    ))
}

/// One queue.
pub(crate) async fn get(State(broker): State<Arc<Broker>>, Path((vhost, name)): Path<(String, String)>) -> Result<Json<Queue>, Failure> {
    match broker.queue(&vhost, &name) {
        Some(view) => Ok(Json(Queue {
            latency: broker.latency(view.queue.id).as_ref().map(latency::show),
            ..Queue::from(&view)
        })),
        None => Err(Failure {
            status: StatusCode::NOT_FOUND,
            error: "Object Not Found",
            reason: "Not Found".into(),
        }),
    }
}
