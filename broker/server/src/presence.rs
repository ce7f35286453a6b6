//! Channels and consumers as the HTTP surface sees them, and connections that administrators close.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stoa_amqp::{ReplyCode, ShortString, Table};
use stoa_core::ids::{ConnectionId, OutletId};
use stoa_core::shard::{Activity, Attendance, Traffic};
use stoa_core::topology::Queue;

use crate::broker::Broker;
use crate::outlet::{ChannelMode, ChannelOut};
use crate::overview::QueueView;

/// A channel.
#[derive(Clone, Debug)]
pub struct ChannelView {
    /// The connection that it is on.
    pub connection: ConnectionId,
    /// Its number there.
    pub number: u16,
    /// What its client chose.
    pub mode: ChannelMode,
    /// Deliveries that all its consumers together may hold; 0: no limit.
    pub global_prefetch: u16,
    /// Its consumers.
    pub consumers: usize,
    /// Deliveries that it holds.
    pub unacked: u64,
    /// Publishes that wait for their confirm.
    pub unconfirmed: u64,
    /// What was done with messages on it.
    pub traffic: ChannelTraffic,
}

/// What was done with messages on a channel since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelTraffic {
    /// Messages that were published, delivered, taken and acknowledged.
    pub messages: Traffic,
    /// Publishes that were confirmed, or refused.
    pub confirmed: u64,
    /// Messages without a queue that went back to the publisher.
    pub returned: u64,
    /// Messages without a queue that nobody wanted back.
    pub dropped: u64,
}

impl ChannelTraffic {
    fn of(channel: &ChannelOut) -> Self {
        let counts = &channel.counts;
        Self {
            messages: Traffic {
                published: counts.published.load(Ordering::Relaxed),
                ..channel.traffic
            },
            confirmed: channel.confirms.confirmed(),
            returned: counts.returned.load(Ordering::Relaxed),
            dropped: counts.dropped.load(Ordering::Relaxed),
        }
    }
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct ConsumerView {
    /// What it consumes from.
    pub queue: Arc<Queue>,
    /// Its connection.
    pub connection: OutletId,
    /// Its channel there.
    pub channel: u16,
    /// Its tag.
    pub tag: ShortString,
    /// Its deliveries are settled as they go out.
    pub no_ack: bool,
    /// Nobody else may consume from the queue.
    pub exclusive: bool,
    /// Deliveries that it may hold; 0: no limit.
    pub prefetch: u16,
    /// Who has a higher one is served first.
    pub priority: i32,
    /// How long it may hold a message, in milliseconds, if it said so.
    pub timeout_ms: Option<u64>,
    /// What else it said.
    pub arguments: Table,
    /// Whether it is served, and how.
    pub activity: Activity,
    /// Deliveries that it has not settled.
    pub unacked: u32,
}

impl Broker {
    /// The channels of all connections, by connection and number.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelView> {
        let mut all: Vec<_> = self
            .connections
            .lock()
            .iter()
            .map(|(id, presence)| (*id, presence.clone()))
            .collect();
        all.sort_by_key(|(id, _)| *id);
        let mut views = Vec::new();
        for (connection, presence) in all {
            let first = views.len();
            let state = presence.outlet.lock();
            views.extend(state.channels().map(|(number, channel)| ChannelView {
                connection,
                number,
                mode: channel.mode,
                global_prefetch: channel.limit.unwrap_or(0),
                consumers: channel.consumers.len(),
                unacked: channel.unacked.held(),
                unconfirmed: channel.confirms.outstanding(),
                traffic: ChannelTraffic::of(channel),
            }));
            drop(state);
            views[first..].sort_by_key(|view| view.number);
        }
        views
    }

    /// The consumers of these queues, in their order.
    #[must_use]
    pub fn consumers(self: &Arc<Self>, queues: &[QueueView]) -> Vec<ConsumerView> {
        let mut views = Vec::new();
        for view in queues.iter().filter(|view| view.counts.consumers > 0) {
            let queue = &view.queue;
            self.shard_of(queue.id).look(self, |running| {
                let consumers = running.shard.consumers(queue.id);
                views.extend(consumers.map(
                    |Attendance {
                         consumer,
                         activity,
                         unacked,
                     }| ConsumerView {
                        queue: queue.clone(),
                        connection: consumer.outlet,
                        channel: consumer.channel,
                        tag: consumer.tag.clone(),
                        no_ack: consumer.no_ack,
                        exclusive: consumer.exclusive,
                        prefetch: consumer.prefetch,
                        priority: consumer.priority,
                        timeout_ms: consumer.timeout_ms,
                        arguments: consumer.arguments.clone(),
                        activity,
                        unacked,
                    },
                ));
            });
        }
        views
    }

    /// Closes a connection, which is told why.
    pub fn close_connection(&self, id: ConnectionId, reason: &str) {
        let presence = self.connections.lock().get(&id).cloned();
        if let Some(presence) = presence {
            presence.outlet.close_with(ReplyCode::ConnectionForced, reason.to_owned());
        }
    }
}
