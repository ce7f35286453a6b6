//! `/api/connections`, `/api/channels` and `/api/consumers`: who is there, and how to be rid of them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use stoa_server::{Broker, ChannelView, ConnectionView, ConsumerView, Peer};

use crate::auth::Caller;
use crate::failure::Failure;
use crate::listing::{self, Row};
use crate::names::NODE;
use crate::nodes::milliseconds;
use crate::query::Query;
use crate::samples::{Ages, Of};
use crate::tables::to_json;
use crate::{Api, Site, clock, names};

/// How a connection is called.
pub(crate) fn name(view: &ConnectionView) -> String {
    names::connection(view.peer, view.local, view.id)
}

fn ends(view: &ConnectionView) -> (String, u16, String, u16) {
    match (view.peer, view.local) {
        (Peer::Ip(peer), Some(local)) => (peer.ip().to_string(), peer.port(), local.ip().to_string(), local.port()),
        _ => ("unix".to_owned(), 0, "unix".to_owned(), 0),
    }
}

/// A connection, and what it takes to show it.
struct Shown {
    view: ConnectionView,
    api: Arc<Api>,
    ages: Ages,
}

impl Row for Shown {
    fn name(&self) -> String {
        name(&self.view)
    }

    fn render(&self) -> Value {
        let view = &self.view;
        let (peer_host, peer_port, host, port) = ends(view);
        let (identity, tls) = (&view.identity, view.tls.as_ref());
        let given_name = identity.properties.get("connection_name").and_then(|name| name.as_str());
        let state = match (identity.user.is_empty(), view.blocked) {
            (true, _) => "starting",
            (false, true) => "blocked",
            (false, false) if view.flow => "flow",
            (false, false) => "running",
        };
        let mut value = json!({
            "name": self.name(),
            "node": NODE,
            "state": state,
            "type": "network",
            "protocol": "AMQP 0-9-1",
            "user": identity.user,
            "user_who_performed_action": identity.user,
            "user_provided_name": given_name,
            "vhost": identity.vhost,
            "auth_mechanism": identity.mechanism,
            "channel_max": identity.channel_max,
            "frame_max": identity.frame_max,
            "timeout": identity.heartbeat.as_secs(),
            "channels": view.channels,
            "client_properties": to_json(&identity.properties),
            "connected_at": milliseconds(view.connected_at),
            "peer_host": peer_host,
            "peer_port": peer_port,
            "host": host,
            "port": port,
            "ssl": tls.is_some(),
            "ssl_protocol": tls.map(|tls| tls.version.replace("TLSv1_", "tlsv1.")),
            "ssl_cipher": tls.map(|tls| tls.cipher_suite.clone()),
            "ssl_hash": null,
            "ssl_key_exchange": null,
            "peer_cert_subject": tls.and_then(|tls| tls.subject.clone()),
            "peer_cert_issuer": null,
            "peer_cert_validity": null,
        });
        if let Value::Object(fields) = &mut value {
            fields.extend(
                self.api
                    .samples
                    .octets(&Of::Connection(view.id), [view.received, view.sent], self.ages),
            );
        }
        value
    }
}

fn shown(api: &Arc<Api>, views: Vec<ConnectionView>, query: &Query) -> Vec<Shown> {
    let (api, ages) = (api.clone(), Ages::of(query));
    let show = |view| Shown {
        view,
        api: api.clone(),
        ages,
    };
    views.into_iter().map(show).collect()
}

/// Those that the caller may see: all for who watches, their own for others.
fn visible(api: &Api, caller: &Caller) -> Vec<ConnectionView> {
    let mut all = api.broker.connections();
    all.retain(|view| caller.is_monitor() || view.identity.user == caller.user);
    all
}

/// One of them by its name.
fn find(api: &Api, caller: &Caller, wanted: &str) -> Result<ConnectionView, Failure> {
    let all = api.broker.connections();
    let found = all.into_iter().find(|view| name(view) == wanted).ok_or_else(Failure::not_found)?;
    if caller.is_monitor() || found.identity.user == caller.user {
        return Ok(found);
    }
    Err(Failure::refused("User not authorised to access object"))
}

pub(crate) async fn list(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    listing::list(shown(&api, visible(&api, &caller), &query), &query).await
}

pub(crate) async fn list_in_vhost(State(api): Site, caller: Caller, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    let mut own = visible(&api, &caller);
    own.retain(|view| view.identity.vhost == vhost);
    listing::list(shown(&api, own, &query), &query).await
}

/// In RabbitMQ's short form.
pub(crate) async fn of_user(State(api): Site, caller: Caller, Path(user): Path<String>, query: Query) -> Result<Response, Failure> {
    let mut own = visible(&api, &caller);
    own.retain(|view| view.identity.user == user);
    let short = |view: &ConnectionView| json!({"name": name(view), "node": NODE, "user": user, "vhost": view.identity.vhost});
    listing::list(own.iter().map(short).collect(), &query).await
}

pub(crate) async fn get(State(api): Site, caller: Caller, Path(wanted): Path<String>, query: Query) -> Result<Response, Failure> {
    let found = find(&api, &caller, &wanted)?;
    Ok(listing::object(shown(&api, vec![found], &query).remove(0).render(), &query))
}

/// The header `X-Reason`, or RabbitMQ's own words.
fn reason(headers: &HeaderMap) -> String {
    let given = headers.get("x-reason").and_then(|reason| reason.to_str().ok());
    given.unwrap_or("Closed via management plugin").to_owned()
}

fn check_may_close(caller: &Caller, user: &str) -> Result<(), Failure> {
    if caller.user == user {
        Ok(())
    } else {
        caller.check_administrator()
    }
}

pub(crate) async fn close(State(api): Site, caller: Caller, Path(wanted): Path<String>, headers: HeaderMap) -> Result<StatusCode, Failure> {
    let found = find(&api, &caller, &wanted)?;
    check_may_close(&caller, &found.identity.user)?;
    api.broker.close_connection(found.id, &reason(&headers));
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn close_of_user(
    State(api): Site,
    caller: Caller,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    check_may_close(&caller, &user)?;
    let own = api.broker.connections().into_iter().filter(|view| view.identity.user == user);
    own.for_each(|view| api.broker.close_connection(view.id, &reason(&headers)));
    Ok(StatusCode::NO_CONTENT)
}

/// A channel with its connection, and what it takes to show it.
struct Channel {
    api: Arc<Api>,
    ages: Ages,
    connection: Arc<ConnectionView>,
    channel: ChannelView,
}

impl Row for Channel {
    fn name(&self) -> String {
        format!("{} ({})", name(&self.connection), self.channel.number)
    }

    fn render(&self) -> Value {
        let (identity, channel) = (&self.connection.identity, &self.channel);
        let (peer_host, peer_port, ..) = ends(&self.connection);
        let mut value = json!({
            "name": self.name(),
            "number": channel.number,
            "node": NODE,
            "state": "running",
            "user": identity.user,
            "user_who_performed_action": identity.user,
            "vhost": identity.vhost,
            "connection_details": {"name": name(&self.connection), "peer_host": peer_host, "peer_port": peer_port},
            "confirm": channel.mode.confirms,
            "transactional": channel.mode.transactional,
            "prefetch_count": channel.mode.prefetch,
            "global_prefetch_count": channel.global_prefetch,
            "consumer_count": channel.consumers,
            "messages_unacknowledged": channel.unacked,
            "messages_unconfirmed": channel.unconfirmed,
            "message_stats": self.api.samples.channel(channel, self.ages),
        });
        if let Some(since) = self.api.samples.idle_since_ms(&Of::Channel(channel.connection, channel.number)) {
            value["idle_since"] = clock::text(since).into();
        }
        value
    }
}

fn channels(api: &Arc<Api>, caller: &Caller, query: &Query) -> Vec<Channel> {
    let ages = Ages::of(query);
    let connections = visible(api, caller).into_iter().map(|view| (view.id, Arc::new(view)));
    let connections: HashMap<_, _> = connections.collect();
    let all = api.broker.channels().into_iter();
    let known = all.filter_map(|channel| {
        let connection = connections.get(&channel.connection)?.clone();
        let api = api.clone();
        Some(Channel {
            api,
            ages,
            connection,
            channel,
        })
    });
    known.collect()
}

pub(crate) async fn list_channels(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    listing::list(channels(&api, &caller, &query), &query).await
}

pub(crate) async fn channels_of_connection(
    State(api): Site,
    caller: Caller,
    Path(wanted): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    let connection = find(&api, &caller, &wanted)?;
    let mut own = channels(&api, &caller, &query);
    own.retain(|channel| channel.connection.id == connection.id);
    listing::list(own, &query).await
}

pub(crate) async fn channels_in_vhost(
    State(api): Site,
    caller: Caller,
    Path(vhost): Path<String>,
    query: Query,
) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    let mut own = channels(&api, &caller, &query);
    own.retain(|channel| channel.connection.identity.vhost == vhost);
    listing::list(own, &query).await
}

pub(crate) async fn get_channel(State(api): Site, caller: Caller, Path(wanted): Path<String>, query: Query) -> Result<Response, Failure> {
    let found = channels(&api, &caller, &query).into_iter().find(|channel| channel.name() == wanted);
    let found = found.ok_or_else(Failure::not_found)?;
    let mut value = found.render();
    let consumers = api.broker.consumers(&api.broker.queues(Some(&found.connection.identity.vhost)));
    let own = consumers
        .iter()
        .filter(|view| view.connection == found.channel.connection && view.channel == found.channel.number);
    value["consumer_details"] = own.map(|view| consumer(view, Some(&found.connection), &api.broker)).collect();
    Ok(listing::object(value, &query))
}

/// A consumer as it is shown.
pub(crate) fn consumer(view: &ConsumerView, connection: Option<&ConnectionView>, broker: &Broker) -> Value {
    let channel = connection.map(|connection| {
        let (peer_host, peer_port, ..) = ends(connection);
        let connection_name = name(connection);
        json!({
            "name": format!("{connection_name} ({})", view.channel), "number": view.channel, "connection_name": connection_name, "node": NODE,
            "peer_host": peer_host, "peer_port": peer_port, "user": connection.identity.user,
        })
    });
    let timeout = view
        .timeout_ms
        .unwrap_or(broker.config().limits.consumer_timeout.as_millis() as u64);
    json!({
        "arguments": to_json(&view.arguments),
        "ack_required": !view.no_ack,
        "active": view.activity.is_active(),
        "activity_status": view.activity.name(),
        "channel_details": channel.unwrap_or_else(|| json!({})),
        "consumer_tag": view.tag.as_str_lossy(),
        "consumer_timeout": timeout,
        "exclusive": view.exclusive,
        "messages_unacknowledged": view.unacked,
        "prefetch_count": view.prefetch,
        "queue": {"name": view.queue.name.as_str_lossy(), "vhost": &*view.queue.vhost},
    })
}

/// Consumers of these virtual hosts' queues, with their connections.
pub(crate) fn consumers_of(broker: &Arc<Broker>, queues: &[stoa_server::QueueView]) -> Vec<Value> {
    let connections: HashMap<_, _> = broker.connections().into_iter().map(|view| (view.id, view)).collect();
    let all = broker.consumers(queues);
    all.iter()
        .map(|view| consumer(view, connections.get(&view.connection), broker))
        .collect()
}

pub(crate) async fn list_consumers(State(api): Site, caller: Caller, query: Query) -> Result<Response, Failure> {
    let mut queues = api.broker.queues(None);
    queues.retain(|view| caller.sees(&api.broker, &view.queue.vhost));
    listing::list(consumers_of(&api.broker, &queues), &query).await
}

pub(crate) async fn consumers_in_vhost(State(api): Site, Path(vhost): Path<String>, query: Query) -> Result<Response, Failure> {
    if !api.broker.has_vhost(&vhost) {
        return Err(Failure::not_found());
    }
    listing::list(consumers_of(&api.broker, &api.broker.queues(Some(&vhost))), &query).await
}
