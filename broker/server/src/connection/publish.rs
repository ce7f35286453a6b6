//! Publishing: the messages of a read buffer are routed and encoded into one arena, and every shard gets its part as one batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use stoa_amqp::content::ContentHeader;
use stoa_amqp::{ReplyCode, fast};
use stoa_core::channel::Settled;
use stoa_core::ids::QueueId;
use stoa_core::record::{self, BodyRef, flags};
use stoa_core::shard::ReturnCause;
use stoa_core::topology::{Facts, Permission, RouteError, RouteTarget};

use super::error::Exception;
use super::session::Open;
use crate::bodies::APART_MIN;
use crate::broker::Broker;
use crate::outlet::Outlet;
use crate::shards::{Confirming, Job, Op, Receipt, UNCONFIRMED};

const PUBLISH: (u16, u16) = (60, 40);

/// What a read buffer amounts to, before the shards see it. One per thread, reused.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    arena: Vec<u8>,
    per_shard: Vec<Vec<Op>>,
    /// The run of messages that go the same way, not yet turned into commands.
    run: Run,
    /// Channels in confirm mode that published, how many messages, and whether one of these must be durable first.
    confirms: Vec<(u16, u32, bool)>,
    published: u64,
    acknowledged: u64,
}

#[derive(Debug, Default)]
struct Run {
    start: usize,
    count: u32,
}

/// Where the last message went: the next one usually goes the same way.
#[derive(Debug, Default)]
pub(crate) struct Route {
    version: u64,
    envelope: Vec<u8>,
    pub(crate) targets: Vec<RouteTarget>,
    /// The route depends on more than the envelope.
    by_headers: bool,
}

/// A whole message, wherever its parts are.
pub(crate) struct Message<'a> {
    pub(crate) channel: u16,
    pub(crate) exchange: &'a [u8],
    pub(crate) routing_key: &'a [u8],
    pub(crate) envelope: &'a [u8],
    pub(crate) mandatory: bool,
    pub(crate) header: &'a [u8],
    pub(crate) body: Body<'a>,
}

/// A message's body, where it is.
pub(crate) enum Body<'a> {
    /// In the read buffer.
    Borrowed(&'a [u8]),
    /// Put together from several frames.
    Own(Bytes),
}

impl Body<'_> {
    fn octets(&self) -> &[u8] {
        match self {
            Body::Borrowed(octets) => octets,
            Body::Own(octets) => octets,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Body::Borrowed(octets) => Bytes::copy_from_slice(octets),
            Body::Own(octets) => octets,
        }
    }
}

impl<'a> Message<'a> {
    pub(crate) fn of(publish: &fast::Publish<'a>) -> Self {
        Self {
            channel: publish.channel,
            exchange: publish.exchange.as_bytes(),
            routing_key: publish.routing_key.as_bytes(),
            envelope: publish.envelope,
            mandatory: publish.mandatory,
            header: publish.header,
            body: Body::Borrowed(publish.body),
        }
    }
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.run.count == 0 && self.confirms.is_empty() && self.per_shard.iter().all(Vec::is_empty)
    }

    fn ops(&mut self, broker: &Broker, queue: QueueId) -> &mut Vec<Op> {
        if self.per_shard.len() < broker.shards.len() {
            self.per_shard.resize_with(broker.shards.len(), Vec::new);
        }
        &mut self.per_shard[broker.shard_index(queue)]
    }

    pub(crate) fn settle(&mut self, broker: &Broker, settled: &Settled) {
        let Settled {
            queue,
            consumer,
            first,
            count,
        } = *settled;
        self.acknowledged += u64::from(count);
        self.ops(broker, queue).push(Op::Settle {
            queue,
            consumer,
            first,
            count,
        });
    }

    pub(crate) fn requeue(&mut self, broker: &Broker, settled: &Settled, cause: ReturnCause) {
        let Settled {
            queue,
            consumer,
            first,
            count,
        } = *settled;
        self.ops(broker, queue).push(Op::Requeue {
            queue,
            consumer,
            first,
            count,
            cause,
        });
    }

    pub(crate) fn reject(&mut self, broker: &Broker, settled: &Settled) {
        let Settled {
            queue,
            consumer,
            first,
            count,
        } = *settled;
        self.acknowledged += u64::from(count);
        self.ops(broker, queue).push(Op::Reject {
            queue,
            consumer,
            first,
            count,
        });
    }

    /// Turns the current run of messages into one command per queue.
    fn close_run(&mut self, broker: &Broker, targets: &[RouteTarget]) {
        let run = std::mem::replace(
            &mut self.run,
            Run {
                start: self.arena.len(),
                count: 0,
            },
        );
        if run.count > 0 {
            let end = self.arena.len();
            for target in targets {
                self.ops(broker, target.queue).push(Op::Publish {
                    queue: target.queue,
                    start: run.start,
                    end,
                    count: run.count,
                    confirm: UNCONFIRMED,
                });
            }
        }
    }

    /// Hands everything to the shards.
    pub(crate) fn submit(&mut self, broker: &Arc<Broker>, outlet: &Arc<Outlet>, route: &Route) {
        self.close_run(broker, &route.targets);
        let jobs = self.per_shard.iter().filter(|ops| !ops.is_empty()).count() as u32;
        let receipt = (!self.confirms.is_empty()).then(|| self.expect_confirms(outlet, jobs));
        for (shard, ops) in self.per_shard.iter_mut().enumerate() {
            if !ops.is_empty() {
                broker.shards[shard].submit(
                    broker,
                    Job {
                        ops,
                        arena: &self.arena,
                        receipt: receipt.as_ref(),
                    },
                );
                ops.clear();
            }
        }
        broker
            .counters
            .published
            .fetch_add(std::mem::take(&mut self.published), Ordering::Relaxed);
        broker
            .counters
            .acknowledged
            .fetch_add(std::mem::take(&mut self.acknowledged), Ordering::Relaxed);
        self.arena.clear();
        if self.arena.capacity() > ARENA_KEPT_MAX {
            self.arena = Vec::new();
        }
        self.run = Run::default();
    }

    fn expect_confirms(&mut self, outlet: &Arc<Outlet>, jobs: u32) -> Receipt {
        let mut state = outlet.lock();
        let mut channels = Vec::with_capacity(self.confirms.len());
        for (number, count, durable) in self.confirms.drain(..) {
            if let Some(ticket) = state.expect_confirm(number, count, jobs) {
                channels.push((number, ticket, durable));
            }
        }
        Receipt::Publisher(Confirming {
            outlet: outlet.clone(),
            channels,
        })
    }
}

/// The arena grows with large messages; what is larger than this is given back.
const ARENA_KEPT_MAX: usize = 4 << 20;

impl Open {
    /// Routes a message, and adds it to the batch.
    pub(crate) fn publish(&mut self, broker: &Arc<Broker>, batch: &mut Batch, message: Message<'_>) -> Result<(), Exception> {
        if broker.commits.has_failed() {
            return Err(Exception::connection(
                ReplyCode::InternalError,
                PUBLISH,
                "the store has failed, nothing can be accepted",
            ));
        }
        let header = ContentHeader::decode(message.header)?;
        let checked = self.known.check(&header, &self.user)?;
        self.route(broker, batch, &message, &header)?;
        let persistent = checked.persistent;
        batch.published += 1;
        if self.channels.get(&message.channel).is_some_and(|channel| channel.confirms) {
            let durable = persistent && self.route.targets.iter().any(|target| target.durable);
            match batch.confirms.last_mut() {
                Some((channel, count, waits)) if *channel == message.channel => {
                    *count += 1;
                    *waits |= durable;
                }
                _ => batch.confirms.push((message.channel, 1, durable)),
            }
        }
        if self.route.targets.is_empty() {
            if message.mandatory {
                let mut state = self.outlet.lock();
                let frame_max = state.frame_max();
                let Message {
                    channel,
                    envelope,
                    header,
                    ref body,
                    ..
                } = message;
                fast::write_return(
                    state.buffer(),
                    channel,
                    ReplyCode::NoRoute.code(),
                    "NO_ROUTE",
                    envelope,
                    header,
                    body.octets(),
                    frame_max,
                );
            }
            return Ok(());
        }
        let flags = if persistent { flags::PERSISTENT } else { 0 };
        let (priority, envelope, content_header) = (checked.priority, message.envelope, message.header);
        let size = message.body.octets().len();
        if size < APART_MIN {
            record::push(&mut batch.arena, flags, priority, envelope, content_header, message.body.octets());
        } else {
            let durable = persistent && self.route.targets.iter().any(|target| target.durable);
            let id = broker
                .bodies
                .insert(message.body.into_bytes(), self.route.targets.len() as u32, durable);
            let body = BodyRef { id, size: size as u64 };
            record::push_apart(&mut batch.arena, flags, priority, envelope, content_header, body);
        }
        batch.run.count += 1;
        Ok(())
    }

    /// Makes `self.route` the route of this message; what went another way before becomes commands.
    fn route(&mut self, broker: &Broker, batch: &mut Batch, message: &Message<'_>, header: &ContentHeader<'_>) -> Result<(), Exception> {
        let version = broker.topology_version.load(Ordering::Acquire);
        let route = &self.route;
        if route.version == version && !route.by_headers && route.envelope == message.envelope {
            return Ok(());
        }
        batch.close_run(broker, &self.route.targets);
        self.route.targets.clear();
        self.route.version = 0;
        let mut by_headers = false;
        let mut facts = || {
            by_headers = true;
            Facts::of(header.properties, broker.draw())
        };
        let site = broker.topology.read();
        let actor = self.actor();
        site.topology
            .check_write(&actor, message.exchange)
            .map_err(|error| Exception::of_topology(&error, PUBLISH))?;
        site.topology
            .check_topic(&actor, Permission::Write, message.exchange, message.routing_key)
            .map_err(|error| Exception::of_topology(&error, PUBLISH))?;
        site.topology
            .route(
                &self.vhost,
                message.exchange,
                message.routing_key,
                &mut facts,
                &mut self.route.targets,
            )
            .map_err(|error: RouteError| Exception::new(error.code(), PUBLISH, error.to_string()))?;
        drop(site);
        self.route.by_headers = by_headers;
        self.route.envelope.clear();
        self.route.envelope.extend_from_slice(message.envelope);
        self.route.version = version;
        Ok(())
    }
}
