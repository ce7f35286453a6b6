//! `GET /api/overview`: the broker as a whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use stoa_server::Broker;

#[derive(Debug, Serialize)]
pub(crate) struct Overview {
    product_name: &'static str,
    product_version: &'static str,
    cluster_name: &'static str,
    node: &'static str,
    /// Milliseconds.
    uptime: u64,
    object_totals: ObjectTotals,
    queue_totals: QueueTotals,
    message_stats: MessageStats,
    churn_rates: ChurnRates,
    store: Store,
}

#[derive(Debug, Serialize)]
struct ObjectTotals {
    connections: usize,
    channels: usize,
    exchanges: usize,
    queues: usize,
    consumers: u64,
}

#[derive(Debug, Serialize)]
struct QueueTotals {
    messages: u64,
    messages_ready: u64,
    messages_unacknowledged: u64,
}

#[derive(Debug, Serialize)]
struct MessageStats {
    publish: u64,
    deliver_get: u64,
    ack: u64,
}

#[derive(Debug, Serialize)]
struct ChurnRates {
    connection_created: u64,
    connection_closed: u64,
}

/// Stoa's own: what the store is doing.
#[derive(Debug, Serialize)]
struct Store {
    commits: u64,
    journal_bytes: u64,
    message_bytes_ram: u64,
    failed: bool,
    /// Connections that publish are blocked: too little of the disk is free, or too much memory is used.
    disk_free_alarm: bool,
    mem_alarm: bool,
    disk_free: u64,
    disk_free_limit: u64,
    mem_limit: u64,
}

/// Answers with RabbitMQ's fields.
pub(crate) async fn get(State(broker): State<Arc<Broker>>) -> Json<Overview> {
    let seen = broker.overview();
    Json(Overview {
        product_name: "Stoa",
        product_version: env!("CARGO_PKG_VERSION"),
        cluster_name: "stoa",
        node: "stoa@localhost",
        uptime: seen.uptime.as_millis() as u64,
        object_totals: ObjectTotals {
            connections: seen.connections,
            channels: seen.channels,
            exchanges: seen.exchanges,
            queues: seen.queues,
            consumers: seen.consumers,
        },
        queue_totals: QueueTotals {
            messages: seen.ready + seen.unacked,
            messages_ready: seen.ready,
            messages_unacknowledged: seen.unacked,
        },
        message_stats: MessageStats {
            publish: seen.published,
            deliver_get: seen.delivered,
            ack: seen.acknowledged,
        },
        churn_rates: ChurnRates {
            connection_created: seen.connections_opened,
            connection_closed: seen.connections_closed,
        },
        store: Store {
            commits: seen.commit.commits,
            journal_bytes: seen.commit.journal_bytes,
            message_bytes_ram: seen.resident_bytes,
            failed: seen.commit.failed,
            disk_free_alarm: seen.alarms.disk,
            mem_alarm: seen.alarms.memory,
            disk_free: seen.alarms.disk_free,
            disk_free_limit: seen.alarms.disk_free_min,
            mem_limit: seen.alarms.memory_max,
        },
    })
}
