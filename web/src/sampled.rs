//! What is sampled: by which names the counters of queues, channels, exchanges, connections, virtual hosts and the node are kept, and where they come from.

use std::sync::Arc;

use stoa_server::{Broker, ChannelTraffic, ExchangeTraffic, Overview, QueueTally};

use crate::Api;
use crate::nodes::Process;
use crate::samples::Of;

/// Of a queue, of a virtual host's and of all: first what `message_stats` has, then how much is there.
pub(crate) const MESSAGES: [&str; 12] = [
    "publish",
    "deliver_get",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "redeliver",
    "ack",
    "messages",
    "messages_ready",
    "messages_unacknowledged",
];
/// So many of them are rates, the others lengths.
pub(crate) const RATES: usize = 9;
/// Where those are that other pages look at.
pub(crate) const OUT: usize = 1;
pub(crate) const READY: usize = 10;

/// Of the broker beside its queues' messages: first what `message_stats` has, then `churn_rates`.
pub(crate) const BESIDE: [&str; 10] = [
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "connection_created",
    "connection_closed",
    "channel_created",
    "channel_closed",
    "queue_declared",
    "queue_created",
    "queue_deleted",
];
/// So many of them are about messages.
pub(crate) const OF_MESSAGES: usize = 3;

/// Of a connection, and of all of a virtual host.
pub(crate) const OCTETS: [&str; 2] = ["recv_oct", "send_oct"];

/// Of an exchange.
pub(crate) const THROUGH: [&str; 2] = ["publish_in", "publish_out"];

/// Of a channel.
pub(crate) const CHANNEL: [&str; 12] = [
    "publish",
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "deliver_get",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "redeliver",
    "ack",
];

/// Of the node.
pub(crate) const NODE: [&str; 5] = ["mem_used", "disk_free", "fd_used", "sockets_used", "proc_used"];

/// In the order of [`MESSAGES`].
pub(crate) fn messages(tally: &QueueTally) -> [u64; MESSAGES.len()] {
    let t = &tally.traffic;
    [
        t.published,
        t.out(),
        t.delivered,
        t.delivered_no_ack,
        t.got,
        t.got_no_ack,
        t.got_empty,
        t.redelivered,
        t.acked,
        tally.ready + tally.unacked,
        tally.ready,
        tally.unacked,
    ]
}

/// Of all queues together. What is published counts once, however many queues it goes to.
pub(crate) fn all_messages(seen: &Overview) -> QueueTally {
    let mut all = seen.messages;
    all.traffic.published = seen.published.count();
    all
}

/// In the order of [`BESIDE`].
pub(crate) fn beside(seen: &Overview) -> [u64; BESIDE.len()] {
    [
        seen.confirmed,
        seen.returned,
        seen.dropped,
        seen.connections_opened,
        seen.connections_closed,
        seen.channels_opened,
        seen.channels_closed,
        seen.queues_declared,
        seen.queues_created,
        seen.queues_deleted,
    ]
}

/// In the order of [`THROUGH`].
pub(crate) fn through(traffic: &ExchangeTraffic) -> [u64; THROUGH.len()] {
    [traffic.published_in, traffic.published_out]
}

/// In the order of [`CHANNEL`].
pub(crate) fn channel(traffic: &ChannelTraffic) -> [u64; CHANNEL.len()] {
    let t = &traffic.messages;
    [
        t.published,
        traffic.confirmed,
        traffic.returned,
        traffic.dropped,
        t.out(),
        t.delivered,
        t.delivered_no_ack,
        t.got,
        t.got_no_ack,
        t.got_empty,
        t.redelivered,
        t.acked,
    ]
}

/// In the order of [`NODE`].
pub(crate) fn node(broker: &Broker, process: &Process) -> [u64; NODE.len()] {
    [
        process.resident,
        broker.alarms().disk_free,
        process.files,
        process.sockets,
        process.threads,
    ]
}

/// A virtual host's queues and exchanges together.
pub(crate) fn vhost_messages(broker: &Broker, vhost: &str, queues: &QueueTally) -> QueueTally {
    let mut all = *queues;
    all.traffic.published = broker.published_in(vhost);
    all
}

/// One sample of everything.
pub(crate) fn take(api: &Api) -> Vec<(Of, Vec<u64>)> {
    let broker = &api.broker;
    let (queues, vhosts) = broker.tallies();
    let (seen, connections) = (broker.overview(), broker.connections());
    let mut all = Vec::with_capacity(queues.len() + connections.len() + 16);
    all.push((Of::All, messages(&all_messages(&seen)).to_vec()));
    all.push((Of::Broker, beside(&seen).to_vec()));
    all.push((Of::Node, node(broker, &Process::look()).to_vec()));
    all.extend(queues.iter().map(|tally| (Of::Queue(tally.queue), messages(tally).to_vec())));
    all.extend(
        broker
            .dead_letters()
            .into_iter()
            .map(|(queue, count)| (Of::Dead(queue), vec![count])),
    );
    let exchanges = broker.exchange_traffic();
    all.extend(
        exchanges
            .iter()
            .map(|(.., traffic)| (Of::Exchange(traffic.id), through(traffic).to_vec())),
    );
    all.extend(
        connections
            .iter()
            .map(|view| (Of::Connection(view.id), vec![view.received, view.sent])),
    );
    let channels = broker.channels();
    all.extend(
        channels
            .iter()
            .map(|view| (Of::Channel(view.connection, view.number), channel(&view.traffic).to_vec())),
    );
    for (vhost, tally) in &vhosts {
        let mut values = messages(&vhost_messages(broker, vhost, tally)).to_vec();
        values.extend(octets_of_vhost(&connections, vhost));
        all.push((Of::Vhost(Arc::clone(vhost)), values));
    }
    all
}

/// What went over the connections of a virtual host that are open.
pub(crate) fn octets_of_vhost(connections: &[stoa_server::ConnectionView], vhost: &str) -> [u64; 2] {
    let own = connections.iter().filter(|view| view.identity.vhost == vhost);
    own.fold([0, 0], |[received, sent], view| [received + view.received, sent + view.sent])
}
