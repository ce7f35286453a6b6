//! Families of the broker as a whole, by RabbitMQ's names: what came and went, what the process uses, alarms, logins, and what all messages did.

use std::io::Write;

use stoa_server::{Overview, RABBITMQ_VERSION, SIZES};

use crate::Api;
use crate::metrics::text::Kind::{Counter, Gauge, Histogram, Untyped};
use crate::metrics::text::{Label, Number, Text};
use crate::names::NODE;
use crate::nodes::Process;

/// All messages come by one protocol, and are in queues of one kind, whatever type these were declared with.
const PROTOCOL: Label<'_> = ("protocol", "amqp091");
const QUEUE_TYPE: Label<'_> = ("queue_type", "rabbit_classic_queue");

/// Which broker this is, and what kind of scrape: what the dashboards join everything else with.
pub(super) fn identity(text: &mut Text<impl Write>, api: &Api, endpoint: &str) {
    text.begin_names_with("rabbitmq_");
    text.family(
        "build_info",
        Untyped,
        "The RabbitMQ that this stands in for, and the version that it is",
    );
    let labels = [
        ("rabbitmq_version", RABBITMQ_VERSION),
        ("prometheus_plugin_version", RABBITMQ_VERSION),
        ("prometheus_client_version", ""),
        ("erlang_version", ""),
        ("product_version", env!("CARGO_PKG_VERSION")),
        ("product_name", "Stoa"),
    ];
    text.sample(&labels, 1_u64);
    text.family("identity_info", Untyped, "The names of node and cluster");
    let cluster = api.broker.cluster_name();
    text.sample(
        &[
            ("rabbitmq_node", NODE),
            ("rabbitmq_cluster", &cluster),
            ("rabbitmq_endpoint", endpoint),
        ],
        1_u64,
    );
}

/// What was opened, closed, declared and deleted.
pub(super) fn churn(text: &mut Text<impl Write>, seen: &Overview) {
    for (name, help, value) in [
        ("connections_opened_total", "Connections that were opened", seen.connections_opened),
        ("connections_closed_total", "Connections that were closed", seen.connections_closed),
        ("channels_opened_total", "Channels that were opened", seen.channels_opened),
        ("channels_closed_total", "Channels that were closed", seen.channels_closed),
        ("queues_declared_total", "Declarations of queues", seen.queues_declared),
        ("queues_created_total", "Queues that were created", seen.queues_created),
        ("queues_deleted_total", "Queues that were deleted", seen.queues_deleted),
    ] {
        text.single(name, Counter, help, value);
    }
}

/// What the process uses.
pub(super) fn process(text: &mut Text<impl Write>, seen: &Overview, process: &Process) {
    let alarms = &seen.alarms;
    for (name, help, value) in [
        ("process_open_fds", "Open file descriptors", process.files),
        ("process_open_tcp_sockets", "Open sockets", process.sockets),
        ("process_resident_memory_bytes", "Memory that the process uses", process.resident),
        (
            "disk_space_available_bytes",
            "Free space on the disk of the data directory",
            alarms.disk_free,
        ),
    ] {
        text.single(name, Gauge, help, value);
    }
}

/// How much of it there may be.
pub(super) fn bounds(text: &mut Text<impl Write>, seen: &Overview, process: &Process) {
    let alarms = &seen.alarms;
    for (name, help, value) in [
        ("process_max_fds", "File descriptors that may be open", process.files_max),
        ("process_max_tcp_sockets", "Sockets that may be open", process.files_max),
        (
            "resident_memory_limit_bytes",
            "Memory beyond which publishers are blocked",
            alarms.memory_max,
        ),
        (
            "disk_space_available_limit_bytes",
            "Free space below which publishers are blocked",
            alarms.disk_free_min,
        ),
    ] {
        text.single(name, Gauge, help, value);
    }
    // There is no Erlang, but dashboards ask by this name how long the node has been up.
    text.single(
        "erlang_uptime_seconds",
        Gauge,
        "How long the broker has been running",
        seen.uptime.as_secs_f64(),
    );
}

/// Logins over AMQP and over HTTP.
pub(super) fn logins(text: &mut Text<impl Write>, api: &Api) {
    let (amqp, http) = (api.broker.login_attempts(), api.logins.attempts());
    let of = |pick: fn((u64, u64)) -> u64| [("amqp091", pick(amqp)), ("http", pick((http.succeeded, http.failed)))];
    for (name, help, values) in [
        ("auth_attempts_total", "Logins that were tried", of(|(right, wrong)| right + wrong)),
        ("auth_attempts_succeeded_total", "Logins that succeeded", of(|(right, _)| right)),
        ("auth_attempts_failed_total", "Logins that failed", of(|(_, wrong)| wrong)),
    ] {
        text.family(name, Counter, help);
        for (protocol, value) in values {
            text.sample(&[("protocol", protocol)], value);
        }
    }
}

pub(super) fn alarms(text: &mut Text<impl Write>, seen: &Overview) {
    for (name, help, raised) in [
        ("alarms_file_descriptor_limit", "Never 1: there is no such alarm", false),
        (
            "alarms_free_disk_space_watermark",
            "1 while there is too little free disk space",
            seen.alarms.disk,
        ),
        (
            "alarms_memory_used_watermark",
            "1 while too much memory is in use",
            seen.alarms.memory,
        ),
    ] {
        text.single(name, Untyped, help, raised);
    }
}

/// How many there are of what.
pub(super) fn totals(text: &mut Text<impl Write>, seen: &Overview) {
    let totals: [(_, _, Number); 4] = [
        ("connections", "Open connections", seen.connections.into()),
        ("channels", "Open channels", seen.channels.into()),
        ("consumers", "Consumers", seen.consumers.into()),
        ("queues", "Queues", seen.queues.into()),
    ];
    for (name, help, value) in totals {
        text.single(name, Gauge, help, value);
    }
}

/// What was done on all channels, those that are closed included.
pub(super) fn channels(text: &mut Text<impl Write>, seen: &Overview, unconfirmed: u64) {
    let traffic = &seen.messages.traffic;
    for (name, help, value) in [
        (
            "channel_messages_published_total",
            "Messages that were published",
            seen.published.count(),
        ),
        (
            "channel_messages_confirmed_total",
            "Messages that were published and confirmed",
            seen.confirmed.saturating_sub(unconfirmed),
        ),
        (
            "channel_messages_unroutable_returned_total",
            "Messages published as mandatory that no queue took and that were returned",
            seen.returned,
        ),
        (
            "channel_messages_unroutable_dropped_total",
            "Messages that no queue took and nobody wanted back",
            seen.dropped,
        ),
        (
            "channel_get_ack_total",
            "Messages taken by basic.get to be acknowledged",
            traffic.got,
        ),
        (
            "channel_get_total",
            "Messages taken by basic.get without acknowledgement",
            traffic.got_no_ack,
        ),
        (
            "channel_messages_delivered_ack_total",
            "Messages delivered to consumers that acknowledge",
            traffic.delivered,
        ),
        (
            "channel_messages_delivered_total",
            "Messages delivered to consumers that do not acknowledge",
            traffic.delivered_no_ack,
        ),
        (
            "channel_messages_redelivered_total",
            "Messages delivered again",
            traffic.redelivered,
        ),
        ("channel_messages_acked_total", "Messages that were settled", traffic.acked),
        ("channel_get_empty_total", "How often basic.get found no message", traffic.got_empty),
    ] {
        text.single(name, Counter, help, value);
    }
}

/// What went over all connections, those that are closed included.
pub(super) fn connections(text: &mut Text<impl Write>, seen: &Overview) {
    text.single(
        "connection_incoming_bytes_total",
        Counter,
        "Octets that came over connections",
        seen.received_bytes,
    );
    text.single(
        "connection_outgoing_bytes_total",
        Counter,
        "Octets that went over connections",
        seen.sent_bytes,
    );
    text.single("connection_channels", Gauge, "Channels on connections", seen.channels);
}

/// What all messages did since the start.
pub(super) fn messages(text: &mut Text<impl Write>, seen: &Overview, publishers: u64, unconfirmed: u64) {
    let (traffic, published) = (&seen.messages.traffic, seen.published.count());
    let routed = published.saturating_sub(seen.returned + seen.dropped);
    let confirmed = seen.confirmed.saturating_sub(unconfirmed);
    let by_type = |text: &mut Text<_>, name, help, value: u64| {
        text.family(name, Counter, help);
        text.sample(&[PROTOCOL, QUEUE_TYPE], value);
    };
    for (name, help, value) in [
        ("global_messages_acknowledged_total", "Messages that were settled", traffic.acked),
        (
            "global_messages_delivered_consume_auto_ack_total",
            "Messages delivered to consumers that do not acknowledge",
            traffic.delivered_no_ack,
        ),
        (
            "global_messages_delivered_consume_manual_ack_total",
            "Messages delivered to consumers that acknowledge",
            traffic.delivered,
        ),
        (
            "global_messages_delivered_get_auto_ack_total",
            "Messages taken by basic.get without acknowledgement",
            traffic.got_no_ack,
        ),
        (
            "global_messages_delivered_get_manual_ack_total",
            "Messages taken by basic.get to be acknowledged",
            traffic.got,
        ),
        (
            "global_messages_delivered_total",
            "Messages delivered, in whatever way",
            traffic.out(),
        ),
        (
            "global_messages_get_empty_total",
            "How often basic.get found no message",
            traffic.got_empty,
        ),
        ("global_messages_redelivered_total", "Messages delivered again", traffic.redelivered),
    ] {
        by_type(text, name, help, value);
    }
    for (name, help, value) in [
        ("global_messages_received_total", "Messages that were published", published),
        (
            "global_messages_received_confirm_total",
            "Messages that were published to be confirmed",
            seen.confirmed,
        ),
        ("global_messages_confirmed_total", "Messages that were confirmed", confirmed),
        ("global_messages_routed_total", "Messages that some queue was to get", routed),
        (
            "global_messages_unroutable_returned_total",
            "Messages that no queue was to get and that were returned",
            seen.returned,
        ),
        (
            "global_messages_unroutable_dropped_total",
            "Messages that no queue was to get and nobody wanted back",
            seen.dropped,
        ),
    ] {
        text.family(name, Counter, help);
        text.sample(&[PROTOCOL], value);
    }
    for (name, help, value) in [
        ("global_publishers", "Channels that have published", publishers),
        ("global_consumers", "Consumers", seen.consumers),
    ] {
        text.family(name, Gauge, help);
        text.sample(&[PROTOCOL], value);
    }
    dead_letters(text, seen);
    sizes(text, seen);
}

fn dead_letters(text: &mut Text<impl Write>, seen: &Overview) {
    for (reason, help) in [
        ("rejected", "Messages dead-lettered because consumers rejected them"),
        ("expired", "Messages dead-lettered because their time was over"),
        ("maxlen", "Messages dead-lettered because their queue was full"),
        ("delivery_limit", "Messages dead-lettered because they came back too often"),
    ] {
        text.family(&format!("global_messages_dead_lettered_{reason}_total"), Counter, help);
        for dead in seen.dead_lettered.iter().filter(|dead| dead.reason == reason) {
            let strategy = if dead.at_least_once { "at_least_once" } else { "at_most_once" };
            text.sample(&[QUEUE_TYPE, ("dead_letter_strategy", strategy)], dead.count);
        }
    }
}

fn sizes(text: &mut Text<impl Write>, seen: &Overview) {
    text.family(
        "message_size_bytes",
        Histogram,
        "Octets of the bodies of messages that were published",
    );
    let mut upto = 0;
    let buckets = SIZES.iter().zip(seen.published.counts).map(|(bound, count)| {
        upto += count;
        (*bound as f64, upto)
    });
    text.histogram(&[PROTOCOL], buckets, seen.published.count(), seen.published.octets);
}
