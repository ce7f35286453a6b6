//! `/api/bindings`, and the bindings of one exchange or queue.
//!
//! A binding's own path ends in its *properties key*: the percent-encoded routing key, a `~`, and, if it has arguments, a hash of these; a
//! binding with neither is called `~` alone. As in RabbitMQ, clients take it from a list and give it back.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stoa_amqp::Table;
use stoa_server::{Binding, BindingRequest, BindingView, BindingsOf, Bound, Broker, Requester};

use crate::auth::Caller;
use crate::body::{Body, Field, optional};
use crate::failure::Failure;
use crate::listing::{self, Row};
use crate::query::Query;
use crate::tables::to_json;
use crate::{Site, names, percent};

/// What is bound with.
pub(crate) const BINDING: &[Field] = &[optional("routing_key", "string"), optional("arguments", "object")];

fn properties_key(binding: &Binding) -> String {
    let key = percent::encode(binding.routing_key.as_bytes()).replace('~', "%7E");
    if binding.arguments.is_empty() {
        return if key.is_empty() { "~".into() } else { key };
    }
    let hash = Sha256::digest(Table::to_bytes(&binding.arguments));
    format!("{key}~{}", URL_SAFE_NO_PAD.encode(&hash[..6]))
}

fn kind_of(destination: &Bound) -> &'static str {
    match destination {
        Bound::Queue(_) => "queue",
        Bound::Exchange(_) => "exchange",
    }
}

/// What definitions and lists both say of a binding.
pub(crate) fn declaration(view: &BindingView) -> Value {
    let binding = &view.binding;
    json!({
        "source": binding.source.as_str_lossy(),
        "vhost": &*view.vhost,
        "destination": binding.destination.name().as_str_lossy(),
        "destination_type": kind_of(&binding.destination),
        "routing_key": binding.routing_key.as_str_lossy(),
        "arguments": to_json(&binding.arguments),
    })
}

impl Row for BindingView {
    fn name(&self) -> String {
        self.binding.source.as_str_lossy().into_owned()
    }

    fn render(&self) -> Value {
        let mut value = declaration(self);
        value["properties_key"] = properties_key(&self.binding).into();
        value
    }
}

pub(crate) async fn list(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    let vhosts = api.broker.vhosts().into_iter().filter(|vhost| caller.sees(&api.broker, vhost));
    let all: Vec<_> = vhosts
        .filter_map(|vhost| api.broker.bindings(&vhost, BindingsOf::All))
        .flatten()
        .collect();
    listing::list(all, &query).await
}

async fn of(broker: &Broker, vhost: &str, of: BindingsOf<'_>, query: &Query) -> Result<Response, Failure> {
    let bindings = broker.bindings(vhost, of).ok_or_else(Failure::not_found)?;
    listing::list(bindings, query).await
}

pub(crate) async fn list_in_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    of(&api.broker, &vhost, BindingsOf::All, &query).await
}

type Name = Path<(String, String)>;

pub(crate) async fn from_exchange(State(api): Site, Path((vhost, name)): Name, query: Query) -> Result<Response, Failure> {
    of(&api.broker, &vhost, BindingsOf::Source(names::exchange(&name).as_bytes()), &query).await
}

pub(crate) async fn to_exchange(State(api): Site, Path((vhost, name)): Name, query: Query) -> Result<Response, Failure> {
    of(&api.broker, &vhost, BindingsOf::Exchange(names::exchange(&name).as_bytes()), &query).await
}

pub(crate) async fn to_queue(State(api): Site, Path((vhost, name)): Name, query: Query) -> Result<Response, Failure> {
    of(&api.broker, &vhost, BindingsOf::Queue(name.as_bytes()), &query).await
}

/// The two ends of a binding, as a path has them.
struct Ends {
    vhost: String,
    source: String,
    destination: Bound,
}

impl Ends {
    fn new(vhost: String, source: &str, kind: &str, destination: &str) -> Result<Self, Failure> {
        let destination = match kind {
            "q" => Bound::Queue(names::short(destination)?),
            "e" => Bound::Exchange(names::short(names::exchange(destination))?),
            _ => return Err(Failure::not_found()),
        };
        let source = names::exchange(source).to_owned();
        Ok(Self {
            vhost,
            source,
            destination,
        })
    }

    /// The bindings between the two.
    fn between(&self, broker: &Broker) -> Result<Vec<BindingView>, Failure> {
        let of = match &self.destination {
            Bound::Queue(name) => BindingsOf::Queue(name.as_bytes()),
            Bound::Exchange(name) => BindingsOf::Exchange(name.as_bytes()),
        };
        let bindings = broker.bindings(&self.vhost, of).ok_or_else(Failure::not_found)?;
        if broker.exchange(&self.vhost, self.source.as_bytes()).is_none() {
            return Err(Failure::not_found());
        }
        let own = |view: &BindingView| view.binding.source.as_bytes() == self.source.as_bytes();
        Ok(bindings.into_iter().filter(own).collect())
    }

    fn named(&self, broker: &Broker, properties: &str) -> Result<BindingView, Failure> {
        // The path was decoded once, and the key is encoded in itself.
        let named = |view: &BindingView| {
            let key = properties_key(&view.binding);
            key == properties || percent::decode(&key, false) == properties
        };
        self.between(broker)?.into_iter().find(named).ok_or_else(Failure::not_found)
    }
}

type Pair = Path<(String, String, String, String)>;
type One = Path<(String, String, String, String, String)>;

pub(crate) async fn between(State(api): Site, Path((vhost, source, kind, destination)): Pair, query: Query) -> Result<Response, Failure> {
    let ends = Ends::new(vhost, &source, &kind, &destination)?;
    listing::list(ends.between(&api.broker)?, &query).await
}

pub(crate) async fn bind(
    State(api): Site,
    caller: Caller,
    Path((vhost, source, kind, destination)): Pair,
    body: Body,
) -> Result<Response, Failure> {
    let ends = Ends::new(vhost, &source, &kind, &destination)?;
    if !api.broker.has_vhost(&ends.vhost) {
        return Err(Failure::no_vhost());
    }
    let arguments = body.table("arguments")?;
    let routing_key = names::short(body.text("routing_key")?.unwrap_or_default())?;
    let wanted = BindingRequest {
        source: ends.source.as_bytes(),
        destination: &ends.destination,
        routing_key: routing_key.as_bytes(),
        arguments: &arguments,
    };
    let by = Requester {
        user: &caller.user,
        vhost: &ends.vhost,
    };
    api.broker.request_binding(by, wanted).await?;
    let mut sorted: Vec<_> = arguments.iter().cloned().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    let binding = Binding {
        source: names::short(&ends.source)?,
        destination: ends.destination.clone(),
        routing_key,
        arguments: sorted.into_iter().collect(),
    };
    // Relative to the path of the request, as in RabbitMQ.
    let place = format!(
        "{}/{}",
        percent::encode(destination.as_bytes()),
        percent::encode(properties_key(&binding).as_bytes())
    );
    Ok((StatusCode::CREATED, [(header::LOCATION, place)]).into_response())
}

pub(crate) async fn get(State(api): Site, Path((vhost, source, kind, destination, key)): One, query: Query) -> Result<Response, Failure> {
    let ends = Ends::new(vhost, &source, &kind, &destination)?;
    Ok(listing::object(ends.named(&api.broker, &key)?.render(), &query))
}

pub(crate) async fn unbind(
    State(api): Site,
    caller: Caller,
    Path((vhost, source, kind, destination, key)): One,
) -> Result<StatusCode, Failure> {
    let ends = Ends::new(vhost, &source, &kind, &destination)?;
    let view = ends.named(&api.broker, &key)?;
    let wanted = BindingRequest {
        source: ends.source.as_bytes(),
        destination: &ends.destination,
        routing_key: view.binding.routing_key.as_bytes(),
        arguments: &view.binding.arguments,
    };
    let by = Requester {
        user: &caller.user,
        vhost: &ends.vhost,
    };
    api.broker.request_binding_end(by, wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}
