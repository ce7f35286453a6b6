//! `GET /api/queues`, `/api/queues/{vhost}`, `/api/queues/{vhost}/{name}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use stoa_server::{Policy, QueueDeclare, QueueView, Requester};

use crate::auth::Caller;
use crate::body::{Body, Field, optional, required};
use crate::failure::Failure;
use crate::listing::{self, Row};
use crate::names::NODE;
use crate::query::Query;
use crate::samples::{Ages, Of};
use crate::tables::to_json;
use crate::{Api, Site, clock, connections, latency};

/// A queue, and what it takes to show it.
struct Shown {
    view: QueueView,
    api: Arc<Api>,
    ages: Ages,
}

impl Shown {
    /// `message_stats`, and how many messages there are.
    fn stats(&self) -> (Map<String, Value>, Map<String, Value>) {
        self.api
            .samples
            .messages(&Of::Queue(self.view.queue.id), &self.view.tally(), self.ages)
    }

    fn state(&self) -> &'static str {
        if self.view.paused { "paused" } else { "running" }
    }
}

impl Row for Shown {
    fn name(&self) -> String {
        self.view.queue.name.as_str_lossy().into_owned()
    }

    fn render(&self) -> Value {
        let QueueView {
            queue, counts, governing, ..
        } = &self.view;
        let name = |policy: &Option<Arc<Policy>>| policy.as_ref().map(|policy| policy.name.to_string());
        let (of, (stats, lengths)) = (Of::Queue(queue.id), self.stats());
        let capacity = self.api.samples.capacity(queue.id, &self.view.tally());
        let mut value = json!({
            "name": queue.name.as_str_lossy(),
            "vhost": &*queue.vhost,
            "type": queue.type_name(),
            "durable": queue.durable,
            "auto_delete": queue.auto_delete,
            "exclusive": queue.exclusive.is_some(),
            "arguments": to_json(&queue.arguments),
            "node": NODE,
            "leader": NODE,
            "members": [NODE],
            "online": [NODE],
            "state": self.state(),
            "consumers": counts.consumers,
            "consumer_capacity": capacity,
            "consumer_utilisation": capacity,
            "policy": name(&governing.policy),
            "operator_policy": name(&governing.operator),
            "effective_policy_definition": to_json(&governing.definition().unwrap_or_default()),
            "exclusive_consumer_tag": null,
            "single_active_consumer_tag": null,
            "head_message_timestamp": null,
            "recoverable_slaves": null,
            "memory": counts.bytes,
            "message_bytes": counts.bytes,
            "messages_delayed": counts.delayed,
            "messages_dead": counts.dead,
            "message_stats": stats,
        });
        if let Value::Object(fields) = &mut value {
            fields.extend(lengths);
            // As in RabbitMQ, it is there only while nothing happens.
            if let Some(since) = self.api.samples.idle_since_ms(&of) {
                fields.insert("idle_since".to_owned(), clock::text(since).into());
            }
        }
        value
    }

    fn known(&self, path: &str) -> Option<Value> {
        let QueueView { queue, counts, .. } = &self.view;
        Some(match path {
            "name" => self.name().into(),
            "vhost" => Value::from(&*queue.vhost),
            "type" => queue.type_name().into(),
            "durable" => queue.durable.into(),
            "auto_delete" => queue.auto_delete.into(),
            "exclusive" => queue.exclusive.is_some().into(),
            "node" => NODE.into(),
            "state" => self.state().into(),
            "memory" | "message_bytes" => counts.bytes.into(),
            "messages" => (counts.ready + counts.unacked).into(),
            "messages_ready" => counts.ready.into(),
            "messages_unacknowledged" => counts.unacked.into(),
            "consumers" => counts.consumers.into(),
            path => {
                let path = path.strip_prefix("message_stats.")?;
                let (stats, _) = self.stats();
                return listing::at(&stats.into(), path).cloned();
            }
        })
    }
}

fn shown(api: &Arc<Api>, queues: Vec<QueueView>, query: &Query) -> Vec<Shown> {
    let (api, ages) = (api.clone(), Ages::of(query));
    let show = |view| Shown {
        view,
        api: api.clone(),
        ages,
    };
    queues.into_iter().map(show).collect()
}

/// What a queue is declared with.
pub(crate) const QUEUE: &[Field] = &[
    optional("durable", "boolean"),
    optional("auto_delete", "boolean"),
    optional("arguments", "object"),
];

/// What is done to a queue.
pub(crate) const ACTION: &[Field] = &[required("action", "string")];

/// All queues.
pub(crate) async fn list(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    let mut queues = api.broker.queues(None);
    queues.retain(|view| caller.sees(&api.broker, &view.queue.vhost));
    listing::list(shown(&api, queues, &query), &query).await
}

/// Those of one virtual host.
pub(crate) async fn list_in_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    listing::list(shown(&api, api.broker.queues(Some(&vhost)), &query), &query).await
}

/// One queue.
pub(crate) async fn get(State(api): Site, Path((vhost, name)): Path<(String, String)>, query: Query) -> Result<Response, Failure> {
    let view = api.broker.queue(&vhost, &name).ok_or_else(Failure::not_found)?;
    let latency = api.broker.latency(view.queue.id).as_ref().map(latency::show);
    let consumers = connections::consumers_of(&api.broker, std::slice::from_ref(&view));
    let single = consumers
        .iter()
        .find(|consumer| consumer["activity_status"] == "single_active")
        .map(|consumer| consumer["consumer_tag"].clone());
    let exclusive = consumers
        .iter()
        .find(|consumer| consumer["exclusive"] == true)
        .map(|consumer| consumer["consumer_tag"].clone());
    let mut value = shown(&api, vec![view], &query).remove(0).render();
    value["single_active_consumer_tag"] = single.unwrap_or_default();
    value["exclusive_consumer_tag"] = exclusive.unwrap_or_default();
    value["consumer_details"] = consumers.into();
    if let Some(latency) = latency {
        value["latency"] = latency;
    }
    value["incoming"] = json!([]);
    value["deliveries"] = json!([]);
    Ok(listing::object(value, &query))
}

type Name = Path<(String, String)>;

pub(crate) async fn declare(State(api): Site, caller: Caller, Path((vhost, name)): Name, body: Body) -> Result<StatusCode, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::no_vhost());
    }
    let wanted = QueueDeclare {
        name: name.as_bytes(),
        durable: body.flag("durable")?,
        auto_delete: body.flag("auto_delete")?,
        arguments: body.table("arguments")?,
        ..QueueDeclare::default()
    };
    let by = Requester {
        user: &caller.user,
        vhost: &vhost,
    };
    match api.broker.request_queue(by, &wanted).await? {
        true => Ok(StatusCode::CREATED),
        false => Ok(StatusCode::NO_CONTENT),
    }
}

pub(crate) async fn delete(State(api): Site, caller: Caller, Path((vhost, name)): Name, query: Query) -> Result<StatusCode, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    let by = Requester {
        user: &caller.user,
        vhost: &vhost,
    };
    let (if_unused, if_empty) = (query.flag("if-unused"), query.flag("if-empty"));
    match api.broker.request_queue_end(by, name.as_bytes(), if_unused, if_empty).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found()),
    }
}

/// `sync` and `cancel_sync` are about mirrors, of which there are none: nothing is to be done.
pub(crate) async fn act(State(api): Site, Path((vhost, name)): Name, body: Body) -> Result<StatusCode, Failure> {
    api.broker.queue(&vhost, &name).ok_or_else(Failure::not_found)?;
    match body.required_text("action")? {
        "sync" | "cancel_sync" => Ok(StatusCode::NO_CONTENT),
        other => Err(Failure::bad_request(format!("Action not recognised: {other}"))),
    }
}
