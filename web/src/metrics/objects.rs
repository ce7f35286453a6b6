//! What there is of each queue, channel, connection and exchange: RabbitMQ's families, by their names at `/metrics/detailed`.
//!
//! A table for each kind of thing: with it the same numbers are shown of every one, or of all together.

use stoa_server::{ChannelView, ConnectionView, ExchangeTraffic, QueueTally};

use crate::metrics::text::Kind;

/// A number of a thing of some kind.
pub(crate) struct Metric<T> {
    /// Without `rabbitmq_`.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) value: fn(&T) -> u64,
}

/// Metrics that are asked for together.
pub(crate) struct Family<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) metrics: &'static [Metric<T>],
}

macro_rules! metrics {
    ($($name:literal $kind:ident $help:literal $value:expr;)*) => {
        &[$(Metric { name: $name, kind: Kind::$kind, help: $help, value: $value },)*]
    };
}

/// Of queues, with the labels `vhost` and `queue`.
pub(crate) const QUEUES: &[Family<QueueTally>] = &[
    Family {
        name: "queue_coarse_metrics",
        metrics: metrics! {
            "queue_messages_ready" Gauge "Messages that wait for a consumer" |queue| queue.ready;
            "queue_messages_unacked" Gauge "Messages that were delivered and are not acknowledged yet" |queue| queue.unacked;
            "queue_messages" Gauge "Messages, ready and unacknowledged" |queue| queue.ready + queue.unacked;
        },
    },
    Family {
        name: "queue_consumer_count",
        metrics: metrics! {
            "queue_consumers" Gauge "Consumers of a queue" |queue| queue.consumers;
        },
    },
    Family {
        name: "queue_metrics",
        metrics: metrics! {
            "queue_messages_bytes" Gauge "Octets of messages, ready and unacknowledged" |queue| queue.bytes;
        },
    },
    Family {
        name: "queue_delivery_metrics",
        metrics: metrics! {
            "queue_get_ack_total" Counter "Messages taken by basic.get to be acknowledged" |queue| queue.traffic.got;
            "queue_get_total" Counter "Messages taken by basic.get without acknowledgement" |queue| queue.traffic.got_no_ack;
            "queue_messages_delivered_ack_total" Counter "Messages delivered to consumers that acknowledge" |queue| queue.traffic.delivered;
            "queue_messages_delivered_total" Counter "Messages delivered to consumers that do not acknowledge" |queue| queue.traffic.delivered_no_ack;
            "queue_messages_redelivered_total" Counter "Messages delivered again" |queue| queue.traffic.redelivered;
            "queue_messages_acked_total" Counter "Messages that were settled" |queue| queue.traffic.acked;
            "queue_get_empty_total" Counter "How often basic.get found no message" |queue| queue.traffic.got_empty;
        },
    },
    Family {
        name: "channel_queue_exchange_metrics",
        metrics: metrics! {
            "queue_messages_published_total" Counter "Messages that came into a queue" |queue| queue.traffic.published;
        },
    },
];

/// Of channels, with the labels `channel`, which is its name in the API, and `vhost`.
pub(crate) const CHANNELS: &[Family<ChannelView>] = &[
    Family {
        name: "channel_metrics",
        metrics: metrics! {
            "channel_consumers" Gauge "Consumers on a channel" |channel| channel.consumers as u64;
            "channel_messages_unacked" Gauge "Messages delivered on a channel and not acknowledged yet" |channel| channel.unacked;
            "channel_messages_unconfirmed" Gauge "Messages published on a channel and not confirmed yet" |channel| channel.unconfirmed;
            "consumer_prefetch" Gauge "Unacknowledged messages that each new consumer may hold" |channel| channel.mode.prefetch.into();
            "channel_prefetch" Gauge "Unacknowledged messages that the consumers of a channel may hold together" |channel| channel.global_prefetch.into();
        },
    },
    Family {
        name: "channel_exchange_metrics",
        metrics: metrics! {
            "channel_messages_published_total" Counter "Messages published on a channel" |channel| channel.traffic.messages.published;
            "channel_messages_confirmed_total" Counter "Messages published on a channel and confirmed" |channel| channel.traffic.confirmed;
            "channel_messages_unroutable_returned_total" Counter "Messages published as mandatory that no queue took and that were returned" |channel| channel.traffic.returned;
            "channel_messages_unroutable_dropped_total" Counter "Messages that no queue took and nobody wanted back" |channel| channel.traffic.dropped;
        },
    },
    Family {
        name: "channel_queue_metrics",
        metrics: metrics! {
            "channel_get_ack_total" Counter "Messages taken by basic.get to be acknowledged" |channel| channel.traffic.messages.got;
            "channel_get_total" Counter "Messages taken by basic.get without acknowledgement" |channel| channel.traffic.messages.got_no_ack;
            "channel_messages_delivered_ack_total" Counter "Messages delivered to consumers that acknowledge" |channel| channel.traffic.messages.delivered;
            "channel_messages_delivered_total" Counter "Messages delivered to consumers that do not acknowledge" |channel| channel.traffic.messages.delivered_no_ack;
            "channel_messages_redelivered_total" Counter "Messages delivered again" |channel| channel.traffic.messages.redelivered;
            "channel_messages_acked_total" Counter "Messages acknowledged" |channel| channel.traffic.messages.acked;
            "channel_get_empty_total" Counter "How often basic.get found no message" |channel| channel.traffic.messages.got_empty;
        },
    },
];

/// Of connections, with the label `connection`, which is its name in the API, and, as RabbitMQ has it, `channel` for the same.
pub(crate) const CONNECTIONS: &[Family<ConnectionView>] = &[
    Family {
        name: "connection_coarse_metrics",
        metrics: metrics! {
            "connection_incoming_bytes_total" Counter "Octets that came over a connection" |connection| connection.received;
            "connection_outgoing_bytes_total" Counter "Octets that went over a connection" |connection| connection.sent;
        },
    },
    Family {
        name: "connection_metrics",
        metrics: metrics! {
            "connection_channels" Gauge "Channels on a connection" |connection| connection.channels as u64;
        },
    },
];

/// Of exchanges, with the labels `vhost` and `exchange`.
pub(crate) const EXCHANGES: &[Family<ExchangeTraffic>] = &[Family {
    name: "exchange_metrics",
    metrics: metrics! {
        "exchange_messages_published_total" Counter "Messages published to an exchange" |exchange| exchange.published_in;
    },
}];
