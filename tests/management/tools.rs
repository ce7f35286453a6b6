//! What tools ask for, exactly, and the fields that they need.

use serde_json::{Value, json};

use super::support::Broker;
use super::{ask, get};

/// The value at a path, `*` being any entry of a list.
fn has(value: &Value, path: &str) -> bool {
    match path.split_once('.') {
        _ if path.is_empty() => true,
        Some(("*", rest)) => value.as_array().is_some_and(|list| list.iter().all(|entry| has(entry, rest))),
        Some((name, rest)) => value.get(name).is_some_and(|inner| has(inner, rest)),
        None => value.get(path).is_some_and(|found| !found.is_null()),
    }
}

#[test]
fn the_requests_of_tools_find_the_fields_that_they_need() {
    let Some(broker) = Broker::own() else { return };
    ask(&broker, "PUT", "/api/queues/%2F/q", &json!({}), 201);
    let rates = "message_stats.publish_details.rate message_stats.deliver_get_details.rate message_stats.ack_details.rate";
    let counts = "messages messages_ready messages_unacknowledged consumers";
    let cases = [
        // KEDA, the RabbitMQ scaler over HTTP: one queue, or several by a pattern.
        ("/api/queues/%2F/q", format!("name {counts} {rates}")),
        ("/api/queues?page=1&use_regex=true&pagination=false&name=%5Eq&page_size=100", format!("items.*.name items.*.{}", counts.replace(' ', " items.*."))),
        ("/api/queues/%2F?page=1&use_regex=true&pagination=false&name=q&page_size=100", "items.*.messages_unacknowledged".into()),
        // Flower.
        ("/api/queues/%2F", format!("*.name *.{}", counts.replace(' ', " *."))),
        // Telegraf, inputs.rabbitmq.
        (
            "/api/overview",
            "object_totals.channels object_totals.connections object_totals.consumers object_totals.exchanges object_totals.queues queue_totals.messages \
             queue_totals.messages_ready queue_totals.messages_unacknowledged message_stats.ack message_stats.ack_details.rate message_stats.deliver \
             message_stats.deliver_details.rate message_stats.deliver_get message_stats.publish message_stats.publish_details.rate \
             message_stats.redeliver message_stats.return_unroutable message_stats.return_unroutable_details.rate listeners.*.protocol cluster_name \
             churn_rates.connection_created rabbitmq_version management_version exchange_types.*.name object_totals.queues node"
                .into(),
        ),
        (
            "/api/nodes",
            "*.name *.disk_free *.disk_free_limit *.disk_free_alarm *.fd_total *.fd_used *.mem_limit *.mem_used *.mem_alarm *.proc_total *.proc_used \
             *.run_queue *.sockets_total *.sockets_used *.running *.uptime *.type *.being_drained *.os_pid"
                .into(),
        ),
        ("/api/nodes/stoa@localhost/memory", "memory.total.rss memory.connection_readers memory.queue_procs memory.binary memory.code".into()),
        ("/api/queues", format!("*.name *.vhost *.node *.durable *.auto_delete *.message_bytes *.state *.memory *.{}", counts.replace(' ', " *."))),
        ("/api/exchanges", "*.vhost *.type *.durable *.auto_delete *.internal".into()),
        ("/api/federation-links", String::new()),
        // kbudde's exporter.
        ("/api/exchanges", "*.name".into()),
        ("/api/connections", String::new()),
        ("/api/shovels", String::new()),
        ("/api/health/checks/alarms", "status".into()),
        ("/api/aliveness-test/%2F", "status".into()),
        // Terraform's provider, through rabbit-hole.
        ("/api/whoami", "name tags".into()),
        ("/api/vhosts/%2F", "name description tags default_queue_type".into()),
        ("/api/users/guest", "name password_hash hashing_algorithm tags".into()),
        ("/api/permissions/%2F/guest", "user vhost configure write read".into()),
        ("/api/queues/%2F/q/bindings", "*.properties_key *.destination_type *.routing_key *.arguments".into()),
        ("/api/exchanges/%2F/amq.direct", "name vhost type durable auto_delete arguments".into()),
        // rabbitmqadmin: the version of what it talks to, and where its columns come from.
        ("/api/overview?columns=rabbitmq_version,cluster_name", "rabbitmq_version".into()),
        ("/api/queues?columns=name,messages&sort=name", "*.name *.messages".into()),
        ("/api/bindings?columns=source,destination,routing_key", "*.source *.destination *.routing_key".into()),
    ];
    for (path, fields) in cases {
        let answer = get(&broker, path);
        let missing: Vec<_> = fields.split_whitespace().filter(|field| !has(&answer, field)).collect();
        assert!(missing.is_empty(), "{path} lacks {missing:?}: {answer}");
    }
}
