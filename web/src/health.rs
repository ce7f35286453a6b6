//! `/api/health/checks`: each says that something is in order (200), or what is not (503).

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use stoa_server::Listening;

use crate::auth::Caller;
use crate::failure::Failure;
use crate::names::NODE;
use crate::{Api, Site, messages};

/// What a check says.
type Verdict = (StatusCode, Json<Value>);

fn ok(mut more: Value) -> Verdict {
    more["status"] = "ok".into();
    (StatusCode::OK, Json(more))
}

fn failed(reason: &str, mut more: Value) -> Verdict {
    more["status"] = "failed".into();
    more["reason"] = reason.into();
    (StatusCode::SERVICE_UNAVAILABLE, Json(more))
}

/// What is beyond its watermark, and whether the store has failed.
pub(crate) async fn alarms(State(api): Site) -> Verdict {
    let status = api.broker.alarms();
    let raised = [(status.disk, "disk"), (status.memory, "memory")];
    let raised = raised.into_iter().filter(|(is_raised, _)| *is_raised);
    let raised: Vec<_> = raised.map(|(_, resource)| json!({"node": NODE, "resource": resource})).collect();
    if api.broker.has_failed() {
        return failed("the store has failed: nothing is accepted any more", json!({"alarms": raised}));
    }
    if raised.is_empty() {
        return ok(json!({}));
    }
    failed("There are alarms in effect in the cluster", json!({"alarms": raised}))
}

/// The same of a node by its name: there is only this one.
pub(crate) async fn alarms_of(api: Site, Path(node): Path<String>) -> Result<Verdict, Failure> {
    if node == NODE {
        Ok(alarms(api).await)
    } else {
        Err(Failure::not_found())
    }
}

/// The protocols by which listeners are asked for, with their ports.
fn listeners(api: &Api) -> Vec<(&'static str, Option<u16>)> {
    let amqp = api.broker.listening().iter().map(|at| match at {
        Listening::Amqp(address) => ("amqp", Some(address.port())),
        Listening::Amqps(address) => ("amqp/ssl", Some(address.port())),
        Listening::Unix(_) => ("amqp", None),
    });
    amqp.chain([("http", Some(api.address.port()))]).collect()
}

pub(crate) async fn port_listener(State(api): Site, Path(port): Path<String>) -> Result<Verdict, Failure> {
    let port: u16 = port.parse().map_err(|_| Failure::bad_request("not a port"))?;
    let ports: BTreeSet<_> = listeners(&api).into_iter().filter_map(|(_, port)| port).collect();
    if ports.contains(&port) {
        return Ok(ok(json!({"port": port})));
    }
    Ok(failed("No active listener", json!({"missing": port, "ports": ports})))
}

pub(crate) async fn protocol_listener(State(api): Site, Path(protocol): Path<String>) -> Verdict {
    let wanted = match protocol.as_str() {
        "amqp091" | "amqp0.9.1" | "amqp" => "amqp",
        "amqps" | "amqp/ssl" | "amqp091/ssl" => "amqp/ssl",
        other => other,
    };
    let protocols: BTreeSet<_> = listeners(&api).into_iter().map(|(protocol, _)| protocol).collect();
    if protocols.contains(wanted) {
        return ok(json!({"protocol": protocol}));
    }
    failed("No active listener", json!({"missing": protocol, "protocols": protocols}))
}

/// Certificates that end within so many of a unit.
pub(crate) async fn certificate_expiration(State(api): Site, Path((within, unit)): Path<(String, String)>) -> Result<Verdict, Failure> {
    let within: u64 = within.parse().map_err(|_| Failure::bad_request("Invalid expiration value."))?;
    let days = match unit.as_str() {
        "days" => 1,
        "weeks" => 7,
        "months" => 30,
        "years" => 365,
        _ => {
            return Err(Failure::bad_request(
                "Time unit not recognised. Use one of: days, weeks, months, years.",
            ));
        }
    };
    let seconds = within.saturating_mul(days * 86_400);
    let limit = SystemTime::now().checked_add(Duration::from_secs(seconds));
    let ends = |end: SystemTime| limit.is_none_or(|limit| end <= limit);
    let expired: Vec<_> = api.broker.certificate_ends().into_iter().filter(|(_, end)| ends(*end)).collect();
    if expired.is_empty() {
        return Ok(ok(json!({})));
    }
    let view = |(file, end): &(String, SystemTime)| json!({"cert": file, "expires_at": crate::nodes::milliseconds(*end), "node": NODE});
    Ok(failed(
        "Certificates expiring",
        json!({"expired": expired.iter().map(view).collect::<Vec<_>>()}),
    ))
}

/// All virtual hosts run, always.
pub(crate) async fn virtual_hosts() -> Verdict {
    ok(json!({}))
}

/// One node is never critical to others.
pub(crate) async fn single_node() -> Verdict {
    ok(json!({"reason": "single node cluster"}))
}

/// Whether one more client could connect.
pub(crate) async fn below_connection_limit(State(api): Site) -> Verdict {
    let (current, limit) = (api.broker.connection_count(), api.broker.config().limits.connections_max);
    if current < limit {
        return ok(json!({"current": current, "limit": limit}));
    }
    failed("node connection limit is reached", json!({"current": current, "limit": limit}))
}

/// Whether the broker accepts what is published: the store has not failed.
pub(crate) async fn ready(State(api): Site) -> Verdict {
    if api.broker.has_failed() {
        return failed("the store has failed: nothing is accepted any more", json!({}));
    }
    ok(json!({}))
}

/// Declares a queue, publishes to it and takes the message out again.
pub(crate) async fn aliveness(State(api): Site, caller: Caller, Path(vhost): Path<String>) -> Result<Verdict, Failure> {
    messages::prove_alive(&api.broker, &caller.user, &vhost).await?;
    Ok(ok(json!({})))
}
