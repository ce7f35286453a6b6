//! Dashboards: what their queries name is there.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::Broker;
use super::{samples, scrape};

/// What RabbitMQ's official dashboard «RabbitMQ-Overview» (of RabbitMQ 4) asks for.
const OVERVIEW: &str = "rabbitmq_build_info rabbitmq_channels rabbitmq_channels_closed_total rabbitmq_channels_opened_total rabbitmq_connections \
    rabbitmq_connections_closed_total rabbitmq_connections_opened_total rabbitmq_disk_space_available_bytes rabbitmq_disk_space_available_limit_bytes \
    rabbitmq_erlang_uptime_seconds rabbitmq_global_consumers rabbitmq_global_messages_acknowledged_total rabbitmq_global_messages_confirmed_total \
    rabbitmq_global_messages_delivered_consume_auto_ack_total rabbitmq_global_messages_delivered_consume_manual_ack_total \
    rabbitmq_global_messages_delivered_get_auto_ack_total rabbitmq_global_messages_delivered_get_manual_ack_total rabbitmq_global_messages_delivered_total \
    rabbitmq_global_messages_get_empty_total rabbitmq_global_messages_received_confirm_total rabbitmq_global_messages_received_total \
    rabbitmq_global_messages_redelivered_total rabbitmq_global_messages_routed_total rabbitmq_global_messages_unroutable_dropped_total \
    rabbitmq_global_messages_unroutable_returned_total rabbitmq_global_publishers rabbitmq_identity_info rabbitmq_message_size_bytes_bucket \
    rabbitmq_message_size_bytes_count rabbitmq_message_size_bytes_sum rabbitmq_process_max_fds rabbitmq_process_open_fds \
    rabbitmq_process_resident_memory_bytes rabbitmq_queue_messages_ready rabbitmq_queue_messages_unacked rabbitmq_queues rabbitmq_queues_created_total \
    rabbitmq_queues_declared_total rabbitmq_queues_deleted_total rabbitmq_resident_memory_limit_bytes";

/// Those of the series that it had for RabbitMQ 3.
const OVERVIEW_3: &str = "rabbitmq_consumers rabbitmq_channel_messages_published_total rabbitmq_channel_messages_confirmed_total \
    rabbitmq_channel_messages_unconfirmed rabbitmq_channel_messages_unroutable_dropped_total rabbitmq_channel_messages_unroutable_returned_total \
    rabbitmq_channel_messages_delivered_total rabbitmq_channel_messages_delivered_ack_total rabbitmq_channel_messages_redelivered_total \
    rabbitmq_channel_messages_acked_total rabbitmq_channel_get_total rabbitmq_channel_get_ack_total rabbitmq_channel_get_empty_total \
    rabbitmq_queue_messages_published_total rabbitmq_process_max_tcp_sockets rabbitmq_process_open_tcp_sockets";

#[test]
fn rabbitmqs_own_dashboard_finds_its_series_and_what_it_joins_them_with() {
    let Some(broker) = Broker::own() else { return };
    let text = scrape(broker.http(), "/metrics");
    let all = samples(&text);
    let names: BTreeSet<_> = all.iter().map(|sample| &*sample.name).collect();
    for name in OVERVIEW.split_whitespace().chain(OVERVIEW_3.split_whitespace()) {
        assert!(names.contains(name), "{name} is missing");
    }
    let one = |name: &str| {
        let found: Vec<_> = all.iter().filter(|sample| sample.name == name).collect();
        assert_eq!(found.len(), 1, "a join wants one {name}");
        found[0]
    };
    let identity = one("rabbitmq_identity_info");
    for label in ["rabbitmq_node=\"", "rabbitmq_cluster=\"", "rabbitmq_endpoint=\"aggregated\""] {
        assert!(identity.labels.contains(label), "{label} in {}", identity.labels);
    }
    let build = one("rabbitmq_build_info");
    assert!(build.labels.contains("rabbitmq_version=\"3.") && build.labels.contains("erlang_version=\""));
    // Sums of two series match by all their labels.
    for name in [
        "delivered_consume_auto_ack",
        "delivered_consume_manual_ack",
        "delivered_get_auto_ack",
        "delivered_get_manual_ack",
    ] {
        let labels = &one(&format!("rabbitmq_global_messages_{name}_total")).labels;
        assert_eq!(labels, "protocol=\"amqp091\",queue_type=\"rabbit_classic_queue\"");
    }
    let bounds: Vec<_> = all
        .iter()
        .filter(|sample| sample.name == "rabbitmq_message_size_bytes_bucket")
        .map(|sample| sample.labels.split("le=").nth(1).unwrap().trim_matches('"'))
        .collect();
    assert_eq!(
        bounds,
        ["100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf"]
    );
    let old = ["2147483648", "rabbitmq_channel_messages_published_total{"];
    assert!(
        old.iter().all(|wrong| !text.contains(wrong)),
        "aggregated series have no labels of objects"
    );
}

/// The names in a PromQL expression.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_ours = |word: &&str| word.starts_with("stoa_") || (word.starts_with("rabbitmq_") && !is_label(word));
    words.filter(is_ours).map(str::to_owned).collect()
}

fn is_label(word: &str) -> bool {
    ["rabbitmq_node", "rabbitmq_cluster", "rabbitmq_endpoint", "rabbitmq_version"].contains(&word)
}

fn expressions(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match (&**name, inner) {
                    ("expr" | "query" | "definition", Value::String(text)) => into.push(text.clone()),
                    _ => expressions(inner, into),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| expressions(inner, into)),
        _ => {}
    }
}

#[test]
fn our_own_dashboard_asks_for_what_is_there() {
    let Some(broker) = Broker::own() else { return };
    let all = samples(&scrape(broker.http(), "/metrics"));
    let mut found: BTreeSet<_> = all.iter().map(|sample| &*sample.name).collect();
    let detailed = samples(&scrape(broker.http(), "/metrics/per-object"));
    found.extend(detailed.iter().map(|sample| &*sample.name));
    let dashboard: Value = serde_json::from_str(include_str!("../../docs/grafana/stoa.json")).unwrap();
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    assert!(asked.len() > 20, "{asked:?}");
    for expression in &asked {
        for name in names(expression) {
            assert!(found.contains(&*name), "{name} in {expression} is missing");
        }
    }
    let ids: Vec<_> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "panels have ids of their own");
}
