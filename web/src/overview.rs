//! `/api/overview`: the broker as a whole.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use stoa_server::{Listening, RABBITMQ_VERSION};

use crate::names::NODE;
use crate::nodes::exchange_types;
use crate::query::Query;
use crate::sampled::all_messages;
use crate::samples::{Ages, Of};
use crate::{Api, Site, listing};

fn listeners(api: &Api) -> Vec<Value> {
    let view = |protocol: &str, address: std::net::SocketAddr| json!({"node": NODE, "protocol": protocol, "ip_address": address.ip().to_string(), "port": address.port(), "socket_opts": {}});
    let amqp = api.broker.listening().iter().filter_map(|at| match at {
        Listening::Amqp(address) => Some(view("amqp", *address)),
        Listening::Amqps(address) => Some(view("amqp/ssl", *address)),
        Listening::Unix(_) => None,
    });
    amqp.chain([view("http", api.address)]).collect()
}

/// Answers with RabbitMQ's fields, and with what the store is doing.
pub(crate) async fn get(State(api): Site, query: Query) -> Response {
    let seen = api.broker.overview();
    let (mut stats, lengths) = api.samples.messages(&Of::All, &all_messages(&seen), Ages::of(&query));
    let (beside, churn) = api.samples.beside(&seen, Ages::of(&query));
    stats.extend(beside);
    let value = json!({
        "management_version": RABBITMQ_VERSION,
        "rabbitmq_version": RABBITMQ_VERSION,
        "product_name": "Stoa",
        "product_version": env!("CARGO_PKG_VERSION"),
        "erlang_version": "",
        "erlang_full_version": "",
        "release_series_support_status": "supported",
        "cluster_name": api.broker.cluster_name(),
        "cluster_tags": {},
        "node_tags": {},
        "node": NODE,
        "rates_mode": "basic",
        "sample_retention_policies": {"global": [600, 3600], "basic": [600, 3600], "detailed": [600]},
        "exchange_types": exchange_types(),
        "disable_stats": false,
        "enable_queue_totals": false,
        "is_op_policy_updating_enabled": true,
        "statistics_db_event_queue": 0,
        "uptime": seen.uptime.as_millis() as u64,
        "object_totals": {
            "connections": seen.connections,
            "channels": seen.channels,
            "exchanges": seen.exchanges,
            "queues": seen.queues,
            "consumers": seen.consumers,
        },
        "queue_totals": lengths,
        "message_stats": stats,
        "churn_rates": churn,
        "listeners": listeners(&api),
        "contexts": [{"node": NODE, "description": "Stoa", "path": "/", "ip": api.address.ip().to_string(), "port": api.address.port().to_string(), "ssl_opts": []}],
        "store": {
            "commits": seen.commit.commits,
            "journal_bytes": seen.commit.journal_bytes,
            "message_bytes_ram": seen.resident_bytes,
            "failed": seen.commit.failed,
            "disk_free_alarm": seen.alarms.disk,
            "mem_alarm": seen.alarms.memory,
            "disk_free": seen.alarms.disk_free,
            "disk_free_limit": seen.alarms.disk_free_min,
            "mem_limit": seen.alarms.memory_max,
        },
    });
    listing::object(value, &query)
}
