//! `/api/vhosts`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use stoa_server::{Broker, ConnectionView, Description, QueueTally};

use crate::auth::Caller;
use crate::body::{Body, Field, optional};
use crate::failure::Failure;
use crate::names::NODE;
use crate::query::Query;
use crate::samples::{Ages, Of};
use crate::{Api, Site, listing, sampled};

/// What a virtual host is made with. Tags are a list, or a text with commas.
pub(crate) const VHOST: &[Field] = &[
    optional("description", "string"),
    optional("tags", "any"),
    optional("default_queue_type", "string"),
    optional("tracing", "boolean"),
];

/// What is said of it in lists and definitions.
pub(crate) fn declaration(name: &str, description: &Description) -> Value {
    let default_queue_type = description.default_queue_type.as_deref().unwrap_or("classic");
    json!({
        "name": name,
        "description": &*description.text,
        "tags": description.tags,
        "default_queue_type": default_queue_type,
        "metadata": {
            "description": &*description.text,
            "tags": description.tags,
            "default_queue_type": default_queue_type,
        },
    })
}

/// What virtual hosts' messages and connections do, looked at once for all that are shown.
struct Doings {
    messages: Vec<(Arc<str>, QueueTally)>,
    connections: Vec<ConnectionView>,
    ages: Ages,
}

impl Doings {
    fn look(api: &Api, query: &Query) -> Self {
        Self {
            messages: api.broker.tallies().1,
            connections: api.broker.connections(),
            ages: Ages::of(query),
        }
    }

    /// `message_stats`, the lengths of the queues together, and octets.
    fn show(&self, api: &Api, name: &str, into: &mut Value) {
        let Some((vhost, queues)) = self.messages.iter().find(|(vhost, _)| **vhost == *name) else {
            return;
        };
        let of = Of::Vhost(vhost.clone());
        let tally = sampled::vhost_messages(&api.broker, vhost, queues);
        let (stats, lengths) = api.samples.messages(&of, &tally, self.ages);
        let octets = sampled::octets_of_vhost(&self.connections, vhost);
        into["message_stats"] = stats.into();
        if let Value::Object(fields) = into {
            fields.extend(lengths);
            fields.extend(api.samples.octets_of_vhost(&of, octets, self.ages));
        }
    }
}

fn view(api: &Api, name: &str, doings: &Doings) -> Option<Value> {
    let mut value = declaration(name, &api.broker.vhost_description(name)?);
    doings.show(api, name, &mut value);
    value["tracing"] = false.into();
    value["cluster_state"] = json!({NODE: "running"});
    value["protected_from_deletion"] = false.into();
    Some(value)
}

pub(crate) async fn list(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    let vhosts = api.broker.vhosts();
    let visible = vhosts.iter().filter(|vhost| caller.sees(&api.broker, vhost));
    let doings = Doings::look(&api, &query);
    listing::list(visible.filter_map(|vhost| view(&api, vhost, &doings)).collect(), &query).await
}

pub(crate) async fn get(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    let value = view(&api, &vhost, &Doings::look(&api, &query)).ok_or_else(Failure::not_found)?;
    Ok(listing::object(value, &query))
}

fn tags(value: &Value) -> Option<Vec<Box<str>>> {
    match value {
        Value::String(text) => Some(
            text.split(',')
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .map(Into::into)
                .collect(),
        ),
        Value::Array(tags) => tags.iter().map(|tag| tag.as_str().map(Into::into)).collect(),
        _ => None,
    }
}

/// What a body says of a virtual host, itself or in `metadata`; `None` if that is nothing.
fn description(body: &Body, before: Option<Description>) -> Result<Option<Description>, Failure> {
    let metadata = Body(body.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default());
    let field = |name: &str| body.get(name).or_else(|| metadata.get(name)).cloned();
    let (text, tagged, queue_type) = (field("description"), field("tags"), field("default_queue_type"));
    if text.is_none() && tagged.is_none() && queue_type.is_none() {
        return Ok(None);
    }
    let mut description = before.unwrap_or_default();
    if let Some(text) = text {
        description.text = text
            .as_str()
            .ok_or_else(|| Failure::bad_request("description should be a string"))?
            .into();
    }
    if let Some(tagged) = tagged {
        description.tags =
            tags(&tagged).ok_or_else(|| Failure::bad_request("tags should be a list of strings, or a string with commas"))?;
    }
    if let Some(queue_type) = queue_type {
        let name = queue_type
            .as_str()
            .ok_or_else(|| Failure::bad_request("default_queue_type should be a string"))?;
        description.default_queue_type = Some(name)
            .filter(|name| !["", "undefined", "classic"].contains(name))
            .map(Into::into);
    }
    Ok(Some(description))
}

/// Makes or changes a virtual host. Gives whether it is new.
pub(crate) async fn put_vhost(broker: &Arc<Broker>, name: &str, body: &Body, by: Option<&str>) -> Result<bool, Failure> {
    let description = description(body, broker.vhost_description(name))?;
    Ok(broker.put_vhost(name, description, by).await?)
}

pub(crate) async fn put(State(api): Site, caller: Caller, Path(name): Path<String>, body: Body) -> Result<StatusCode, Failure> {
    match put_vhost(&api.broker, &name, &body, Some(&caller.user)).await? {
        true => Ok(StatusCode::CREATED),
        false => Ok(StatusCode::NO_CONTENT),
    }
}

pub(crate) async fn delete(State(api): Site, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    match api.broker.delete_vhost(&name).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found()),
    }
}

/// Every virtual host runs on this node already.
pub(crate) async fn start(State(api): Site, Path((vhost, node)): Path<(String, String)>) -> Result<StatusCode, Failure> {
    if node == NODE && api.broker.has_vhost(&vhost) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Failure::not_found())
}
