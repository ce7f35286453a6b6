//! `/api/definitions`: everything that is declared, as one document, to export and to import; of all virtual hosts, or of one.
//!
//! What RabbitMQ 3.10 and 4 export is taken as it is. What a document does not name stays as it is, and what is there and equal is passed over.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use stoa_amqp::Table;
use stoa_server::{
    AdministrationError, BindingRequest, BindingsOf, Bound, Broker, ExchangeDeclare, PolicyKind, QueueDeclare, RABBITMQ_VERSION, Requester,
};

use crate::body::{Body, Field, optional};
use crate::failure::Failure;
use crate::tables::{from_json, to_json};
use crate::{Site, bindings, exchanges, names, parameters, policies, topic_permissions, users, vhosts};

/// The parts of a document.
pub(crate) const DEFINITIONS: &[Field] = &[
    optional("users", "objects"),
    optional("vhosts", "objects"),
    optional("permissions", "objects"),
    optional("topic_permissions", "objects"),
    optional("parameters", "objects"),
    optional("global_parameters", "objects"),
    optional("policies", "objects"),
    optional("exchanges", "objects"),
    optional("queues", "objects"),
    optional("bindings", "objects"),
];

fn head() -> Map<String, Value> {
    let head = json!({
        "rabbit_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": "Stoa",
        "product_version": env!("CARGO_PKG_VERSION"),
    });
    head.as_object().cloned().unwrap_or_default()
}

/// What can be declared again: not what goes with a connection, and not what every virtual host has.
fn queues(broker: &Arc<Broker>, vhost: &str) -> Vec<Value> {
    let queues = broker.declared_queues(vhost).into_iter();
    let lasting = queues.filter(|queue| queue.exclusive.is_none());
    let view = lasting.map(|queue| {
        json!({
            "name": queue.name.as_str_lossy(), "vhost": &*queue.vhost, "type": queue.type_name(), "durable": queue.durable,
            "auto_delete": queue.auto_delete, "arguments": to_json(&queue.arguments),
        })
    });
    view.collect()
}

fn declared_exchanges(broker: &Broker, vhost: &str) -> Vec<Value> {
    let all = broker.exchanges(vhost).unwrap_or_default();
    let own = all.iter().filter(|view| {
        let name = view.exchange.name.as_bytes();
        !name.is_empty() && !name.starts_with(b"amq.")
    });
    own.map(exchanges::declaration).collect()
}

fn declared_bindings(broker: &Broker, vhost: &str) -> Vec<Value> {
    let all = broker.bindings(vhost, BindingsOf::All).unwrap_or_default();
    let own = all.iter().filter(|view| !view.binding.source.is_empty());
    own.map(bindings::declaration).collect()
}

fn strings(broker: &Broker, kind: PolicyKind, vhost: Option<&str>) -> Vec<Value> {
    broker.policies(kind, vhost).iter().map(policies::view).collect()
}

pub(crate) async fn export(State(api): Site) -> Json<Value> {
    let broker = &api.broker;
    let vhosts = broker.vhosts();
    let mut document = head();
    let mut put = |name: &str, value: Vec<Value>| drop(document.insert(name.into(), value.into()));
    put("users", broker.users().iter().map(users::view).collect());
    let described = vhosts
        .iter()
        .filter_map(|vhost| Some(vhosts::declaration(vhost, &broker.vhost_description(vhost)?)));
    put("vhosts", described.collect());
    put("permissions", users::permissions(broker, |_| true));
    put("topic_permissions", topic_permissions::views(broker, |_| true));
    put("parameters", parameters::views(broker));
    put("global_parameters", parameters::global_views(broker));
    put("policies", strings(broker, PolicyKind::User, None));
    put("queues", vhosts.iter().flat_map(|vhost| queues(broker, vhost)).collect());
    put(
        "exchanges",
        vhosts.iter().flat_map(|vhost| declared_exchanges(broker, vhost)).collect(),
    );
    put(
        "bindings",
        vhosts.iter().flat_map(|vhost| declared_bindings(broker, vhost)).collect(),
    );
    Json(document.into())
}

/// Of one virtual host, without its name, so that it can be imported into another.
pub(crate) async fn export_vhost(State(api): Site, Path(vhost): Path<String>) -> Result<Json<Value>, Failure> {
    let broker = &api.broker;
    let description = broker.vhost_description(&vhost).ok_or_else(Failure::not_found)?;
    let without_vhost = |values: Vec<Value>| -> Value {
        let stripped = values.into_iter().map(|mut value| {
            value.as_object_mut().map(|fields| fields.remove("vhost"));
            value
        });
        stripped.collect()
    };
    let mut document = head();
    let own = parameters::views(broker)
        .into_iter()
        .filter(|view| view["vhost"] == *vhost)
        .collect();
    let described = vhosts::declaration(&vhost, &description);
    for (name, value) in [
        ("description", described["description"].clone()),
        ("metadata", described["metadata"].clone()),
        ("default_queue_type", described["default_queue_type"].clone()),
        ("parameters", without_vhost(own)),
        ("policies", without_vhost(strings(broker, PolicyKind::User, Some(&vhost)))),
        ("queues", without_vhost(queues(broker, &vhost))),
        ("exchanges", without_vhost(declared_exchanges(broker, &vhost))),
        ("bindings", without_vhost(declared_bindings(broker, &vhost))),
    ] {
        document.insert(name.into(), value);
    }
    Ok(Json(document.into()))
}

pub(crate) async fn import(State(api): Site, body: Body) -> Result<StatusCode, Failure> {
    take(&api.broker, &body, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn import_vhost(State(api): Site, Path(vhost): Path<String>, body: Body) -> Result<StatusCode, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    take(&api.broker, &body, Some(&vhost)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The entries of a part of the document; each must be an object.
fn part(body: &Body, name: &str) -> Result<Vec<Body>, Failure> {
    let wrong = || Failure::bad_request(format!("{name} should be a list of objects"));
    match body.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries
            .iter()
            .map(|entry| entry.as_object().cloned().map(Body).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// What is wrong with an entry, and with which.
fn at(name: &str, entry: &Body, failure: Failure) -> Failure {
    let entry_name = entry
        .get("name")
        .or_else(|| entry.get("user"))
        .or_else(|| entry.get("source"))
        .unwrap_or(&Value::Null);
    Failure {
        reason: format!("{name} {entry_name}: {}", failure.reason),
        ..failure
    }
}

/// Takes a document in, in the order in which its parts need each other. `only`: the virtual host that all of it is meant for.
async fn take(broker: &Arc<Broker>, document: &Body, only: Option<&str>) -> Result<(), Failure> {
    if only.is_none() {
        for entry in part(document, "users")? {
            let taken = async { users::put_user(broker, entry.required_text("name")?, &entry).await };
            taken.await.map_err(|failure| at("user", &entry, failure))?;
        }
        for entry in part(document, "vhosts")? {
            let taken = async {
                let name = entry.required_text("name")?;
                vhosts::put_vhost(broker, name, &entry, None).await?;
                take_limits(broker, name, &entry).await
            };
            taken.await.map_err(|failure| at("vhost", &entry, failure))?;
        }
        for entry in part(document, "permissions")? {
            let taken = async { users::put_permission(broker, entry.required_text("vhost")?, entry.required_text("user")?, &entry).await };
            taken.await.map_err(|failure| at("permission", &entry, failure))?;
        }
        for entry in part(document, "topic_permissions")? {
            let taken = async { topic_permissions::put(broker, entry.required_text("vhost")?, entry.required_text("user")?, &entry).await };
            taken.await.map_err(|failure| at("topic permission", &entry, failure))?;
        }
        for entry in part(document, "global_parameters")? {
            let taken = async { parameters::put_global(broker, entry.required_text("name")?, &entry).await };
            taken.await.map_err(|failure| at("global parameter", &entry, failure))?;
        }
    }
    for entry in part(document, "parameters")? {
        take_parameter(broker, &entry, only)
            .await
            .map_err(|failure| at("parameter", &entry, failure))?;
    }
    for entry in part(document, "policies")? {
        take_policy(broker, &entry, only)
            .await
            .map_err(|failure| at("policy", &entry, failure))?;
    }
    for entry in part(document, "exchanges")? {
        take_exchange(broker, &entry, only)
            .await
            .map_err(|failure| at("exchange", &entry, failure))?;
    }
    for entry in part(document, "queues")? {
        take_queue(broker, &entry, only)
            .await
            .map_err(|failure| at("queue", &entry, failure))?;
    }
    for entry in part(document, "bindings")? {
        take_binding(broker, &entry, only)
            .await
            .map_err(|failure| at("binding", &entry, failure))?;
    }
    Ok(())
}

/// RabbitMQ 4 has limits with their virtual host, and writes none as `[]`.
async fn take_limits(broker: &Arc<Broker>, vhost: &str, entry: &Body) -> Result<(), Failure> {
    match entry.get("limits") {
        Some(Value::Object(limits)) => crate::limits::set_all(broker, stoa_server::LimitOf::Vhost, vhost, limits).await,
        _ => Ok(()),
    }
}

fn vhost_of<'e>(entry: &'e Body, only: Option<&'e str>) -> Result<&'e str, Failure> {
    only.map_or_else(|| entry.required_text("vhost"), Ok)
}

async fn take_parameter(broker: &Arc<Broker>, entry: &Body, only: Option<&str>) -> Result<(), Failure> {
    let (component, name) = (entry.required_text("component")?, entry.required_text("name")?);
    let value = entry.get("value").unwrap_or(&Value::Null);
    parameters::put_parameter(broker, vhost_of(entry, only)?, component, name, value).await?;
    Ok(())
}

async fn take_policy(broker: &Arc<Broker>, entry: &Body, only: Option<&str>) -> Result<(), Failure> {
    let (vhost, name) = (vhost_of(entry, only)?, entry.required_text("name")?);
    let mut terms = entry.0.clone();
    terms.retain(|key, _| policies::POLICY.iter().any(|field| field.name == key));
    let terms = from_json(&terms).ok_or_else(|| Failure::bad_request("a name is longer than 255 octets"))?;
    match broker.set_policy(PolicyKind::User, vhost, name, &terms).await {
        Ok(_) => Ok(()),
        Err(AdministrationError::NotDurable) => Err(Failure::store_failed()),
        Err(refused) => Err(Failure::bad_request(refused.to_string())),
    }
}

/// Declarations in a document need no permissions: who imports is an administrator.
async fn take_exchange(broker: &Arc<Broker>, entry: &Body, only: Option<&str>) -> Result<(), Failure> {
    let name = entry.required_text("name")?;
    let by = Requester::system(vhost_of(entry, only)?);
    // Some documents have what is always there.
    if broker.exchange(by.vhost, name.as_bytes()).is_some() {
        return Ok(());
    }
    let wanted = ExchangeDeclare {
        name: name.as_bytes(),
        kind: entry.text("type")?.unwrap_or("direct").as_bytes(),
        passive: false,
        durable: entry.flag("durable")?,
        auto_delete: entry.flag("auto_delete")?,
        internal: entry.flag("internal")?,
        arguments: entry.table("arguments")?,
    };
    broker.request_exchange(by, &wanted).await?;
    Ok(())
}

async fn take_queue(broker: &Arc<Broker>, entry: &Body, only: Option<&str>) -> Result<(), Failure> {
    let name = entry.required_text("name")?;
    let by = Requester::system(vhost_of(entry, only)?);
    if broker.queue(by.vhost, name).is_some() {
        return Ok(());
    }
    let mut arguments: Table = entry.table("arguments")?;
    if let Some(kind) = entry
        .text("type")?
        .filter(|kind| *kind != "classic" && arguments.get("x-queue-type").is_none())
    {
        arguments.insert("x-queue-type", kind.to_owned());
    }
    let wanted = QueueDeclare {
        name: name.as_bytes(),
        durable: entry.flag("durable")?,
        auto_delete: entry.flag("auto_delete")?,
        arguments,
        ..QueueDeclare::default()
    };
    broker.request_queue(by, &wanted).await?;
    Ok(())
}

async fn take_binding(broker: &Arc<Broker>, entry: &Body, only: Option<&str>) -> Result<(), Failure> {
    let (source, destination) = (entry.required_text("source")?, names::short(entry.required_text("destination")?)?);
    if source.is_empty() {
        return Ok(());
    }
    let destination = match entry.required_text("destination_type")? {
        "queue" => Bound::Queue(destination),
        "exchange" => Bound::Exchange(destination),
        other => {
            return Err(Failure::bad_request(format!(
                "destination_type is '{other}', not queue or exchange"
            )));
        }
    };
    let arguments = entry.table("arguments")?;
    let wanted = BindingRequest {
        source: source.as_bytes(),
        destination: &destination,
        routing_key: entry.text("routing_key")?.unwrap_or_default().as_bytes(),
        arguments: &arguments,
    };
    let by = Requester::system(vhost_of(entry, only)?);
    broker.request_binding(by, wanted).await?;
    Ok(())
}
