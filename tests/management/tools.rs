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

/// Requests as their sources make them, with the fields that they read: KEDA's `rabbitmq_scaler.go`, Flower's `utils/broker.py`, Telegraf's
/// `inputs/rabbitmq`, kbudde's `rabbitmq_exporter`, Datadog's `rabbitmq` check, and rabbit-hole as Terraform's provider cyrilgdn/rabbitmq calls it. Erlang's
/// and RabbitMQ's store's figures are left out (`management_fields.py`): these tools take what is absent for zero.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_requests_of_tools_find_the_fields_that_they_need() {
    let Some(broker) = Broker::own() else { return };
    ask(&broker, "PUT", "/api/queues/%2F/q", &json!({}), 201);
    ask(
        &broker,
        "PUT",
        "/api/exchanges/%2F/x",
        &json!({"type": "topic", "durable": true}),
        201,
    );
    ask(
        &broker,
        "PUT",
        "/api/policies/%2F/p",
        &json!({"pattern": "x", "definition": {"max-length": 1}}),
        201,
    );
    ask(
        &broker,
        "PUT",
        "/api/operator-policies/%2F/p",
        &json!({"pattern": "x", "definition": {"max-length": 1}}),
        201,
    );
    ask(
        &broker,
        "PUT",
        "/api/topic-permissions/%2F/guest",
        &json!({"exchange": "x", "write": ".*", "read": ".*"}),
        201,
    );
    ask(&broker, "PUT", "/api/vhost-limits/%2F/max-queues", &json!({"value": 10}), 204);
    ask(&broker, "POST", "/api/bindings/%2F/e/x/q/q", &json!({"routing_key": "k"}), 201);
    ask(
        &broker,
        "POST",
        "/api/bindings/%2F/e/x/e/amq.direct",
        &json!({"routing_key": "k"}),
        201,
    );
    let rates = "message_stats.publish_details.rate message_stats.deliver_get_details.rate";
    let counts = "messages messages_ready messages_unacknowledged";
    let each = |prefix: &str, fields: &str| {
        fields
            .split_whitespace()
            .map(|field| format!("{prefix}{field} "))
            .collect::<String>()
    };
    let of_queue = "name vhost node durable auto_delete state policy_is_there memory message_bytes consumers consumer_utilisation message_stats.ack \
        message_stats.ack_details.rate message_stats.deliver message_stats.deliver_details.rate message_stats.deliver_get \
        message_stats.deliver_get_details.rate message_stats.deliver_no_ack message_stats.deliver_no_ack_details.rate message_stats.get \
        message_stats.get_no_ack message_stats.publish message_stats.publish_details.rate message_stats.redeliver message_stats.redeliver_details.rate \
        messages messages_ready messages_unacknowledged messages_details.rate messages_ready_details.rate messages_unacknowledged_details.rate"
        .replace("policy_is_there ", "");
    let of_overview = "cluster_name rabbitmq_version object_totals.channels object_totals.connections object_totals.consumers object_totals.exchanges \
        object_totals.queues queue_totals.messages queue_totals.messages_ready queue_totals.messages_unacknowledged \
        queue_totals.messages_details.rate queue_totals.messages_ready_details.rate queue_totals.messages_unacknowledged_details.rate \
        message_stats.ack message_stats.ack_details.rate message_stats.confirm message_stats.confirm_details.rate message_stats.deliver \
        message_stats.deliver_details.rate message_stats.deliver_get message_stats.deliver_get_details.rate message_stats.deliver_no_ack_details.rate \
        message_stats.drop_unroutable message_stats.drop_unroutable_details.rate message_stats.publish message_stats.publish_details.rate \
        message_stats.redeliver message_stats.redeliver_details.rate message_stats.return_unroutable message_stats.return_unroutable_details.rate \
        listeners.*.protocol";
    let of_node = "name disk_free disk_free_limit disk_free_alarm fd_total fd_used mem_limit mem_used mem_alarm proc_total proc_used run_queue \
        sockets_total sockets_used running uptime partitions";
    let of_exchange = "name vhost type durable auto_delete internal message_stats.publish_in message_stats.publish_in_details.rate \
        message_stats.publish_out message_stats.publish_out_details.rate";
    let of_memory = "total.rss total.allocated total.erlang connection_readers connection_writers connection_channels connection_other queue_procs \
        queue_slave_procs plugins other_proc metrics mgmt_db mnesia other_ets binary msg_index code atom other_system allocated_unused \
        reserved_unallocated";
    let cases: Vec<(&str, String)> = vec![
        // KEDA: one queue; those that match a pattern, which must be on one page; all virtual hosts' where the name is empty is its root's.
        ("/api/queues/%2F/q", format!("name {counts} {rates}")),
        (
            "/api/queues/%2F?page=1&use_regex=true&pagination=false&name=%5Eq.%2A%24&page_size=100",
            format!("page_count {}", each("items.*.", &format!("name {counts} {rates}"))),
        ),
        // Flower, with broker_api=http://guest:guest@localhost:15672/api/ and the virtual host of its broker's address.
        ("/api/queues/%2F", each("*.", &format!("name consumers {counts}"))),
        // Telegraf.
        ("/api/overview", of_overview.into()),
        ("/api/nodes", each("*.", of_node)),
        ("/api/nodes/stoa@localhost/memory", each("memory.", of_memory)),
        ("/api/queues", each("*.", &of_queue)),
        ("/api/exchanges", each("*.", of_exchange)),
        ("/api/federation-links", String::new()),
        // kbudde's exporter: an empty `sort` asks for no order.
        ("/api/overview?sort=", of_overview.into()),
        ("/api/nodes?sort=", each("*.", of_node)),
        ("/api/nodes/stoa@localhost/memory?sort=", each("memory.", of_memory)),
        ("/api/queues?sort=", each("*.", &of_queue)),
        ("/api/exchanges?sort=", each("*.", of_exchange)),
        ("/api/connections?sort=", String::new()),
        ("/api/federation-links?sort=", String::new()),
        ("/api/shovels?sort=", String::new()),
        ("/api/aliveness-test/%2F", "status".into()),
        // Datadog's check: the same lists, and these.
        ("/api/vhosts", "*.name".into()),
        ("/api/queues/%2F", each("*.", &of_queue)),
        ("/api/exchanges/%2F", each("*.", of_exchange)),
        ("/api/vhosts/%2F/connections", String::new()),
        ("/api/connections", String::new()),
        // Terraform's provider.
        ("/api/whoami", "name tags".into()),
        ("/api/vhosts/%2F", "name description tags tracing default_queue_type".into()),
        ("/api/vhost-limits/%2F", "*.vhost *.value.max-queues".into()),
        ("/api/users/guest", "name password_hash hashing_algorithm tags".into()),
        ("/api/permissions/%2F/guest", "user vhost configure write read".into()),
        (
            "/api/topic-permissions/%2F/guest",
            "*.user *.vhost *.exchange *.write *.read".into(),
        ),
        (
            "/api/policies/%2F/p",
            "name vhost pattern priority apply-to definition.max-length".into(),
        ),
        (
            "/api/operator-policies/%2F/p",
            "name vhost pattern priority apply-to definition.max-length".into(),
        ),
        ("/api/queues/%2F/q", "name vhost durable auto_delete arguments type".into()),
        ("/api/exchanges/%2F/x", "name vhost type durable auto_delete arguments".into()),
        (
            "/api/bindings/%2F/e/x/q/q",
            "*.source *.vhost *.destination *.destination_type *.routing_key *.arguments *.properties_key".into(),
        ),
        (
            "/api/bindings/%2F/e/x/e/amq.direct",
            "*.source *.destination *.destination_type *.properties_key".into(),
        ),
        (
            "/api/bindings/%2F",
            "*.source *.destination *.destination_type *.properties_key".into(),
        ),
        // rabbitmqadmin: the version of what it talks to, and where its columns come from.
        ("/api/overview?columns=rabbitmq_version,cluster_name", "rabbitmq_version".into()),
        ("/api/queues?columns=name,messages&sort=name", "*.name *.messages".into()),
        (
            "/api/bindings?columns=source,destination,routing_key",
            "*.source *.destination *.routing_key".into(),
        ),
    ];
    for (path, fields) in cases {
        let answer = get(&broker, path);
        let missing: Vec<_> = fields.split_whitespace().filter(|field| !has(&answer, field)).collect();
        assert!(missing.is_empty(), "{path} lacks {missing:?}: {answer}");
    }
}
