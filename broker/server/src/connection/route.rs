//! Where a message goes: the route of the last one, and how the next one's is found if it is another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stoa_amqp::content::ContentHeader;
use stoa_core::topology::{Actor, Facts, Inquiry, MessageKey, Permission, RouteError, RouteTarget, delay_ms};

use super::error::Exception;
use super::properties::{Checked, KnownProperties};
use super::publish::{Batch, Message, PUBLISH};
use super::session::Open;
use crate::broker::Broker;
use crate::counters::ExchangeCounters;
use crate::deduplication::Claim;
use crate::rates::Bucket;
use crate::reply_to;
use crate::shards::UNCONFIRMED;

/// Where the last message went: the next one usually goes the same way.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(super) version: u64,
    pub(super) envelope: Vec<u8>,
    pub(super) targets: Vec<RouteTarget>,
    /// The route depends on more than the envelope.
    pub(super) by_headers: bool,
    /// Exchanges hold the message back for so long: they are the last of the targets.
    pub(super) delay_ms: Option<u64>,
    /// One of the queues refuses messages when it is full.
    pub(super) may_refuse: bool,
    /// A routing key is a name that was given for direct replies.
    pub(super) replies: bool,
    /// Another message with the same envelope goes to the same queues, and these take it as it is.
    pub(super) is_plain: bool,
    /// One of the queues is durable.
    pub(super) is_durable: bool,
    /// There is a queue that clients can reach, and not only an exchange's history.
    pub(super) reaches: bool,
    /// The rates of its queues, as far as they have one.
    pub(super) rated: Vec<Arc<Bucket>>,
    /// One of its queues is a space: the message must have a tuple.
    pub(super) takes_tuples: bool,
    /// Keys that exchanges met for the first time with this message; within a transaction they are claimed at its commit.
    pub(super) claims: Vec<Claim>,
    /// Where messages to its exchange are counted, and how many queues each goes to.
    pub(super) exchange: Option<Arc<ExchangeCounters>>,
    pub(super) outs: u32,
}

/// What exchanges on the way ask.
struct Asked<'a> {
    broker: &'a Broker,
    properties: &'a [u8],
    claims: &'a mut Vec<Claim>,
    in_transaction: bool,
    /// Something was asked: the route cannot be remembered.
    answered: bool,
}

impl Inquiry for Asked<'_> {
    fn facts(&mut self) -> Facts {
        self.answered = true;
        Facts::of(self.properties, self.broker.draw())
    }

    fn is_new(&mut self, key: &MessageKey) -> bool {
        let now = self.broker.timers.clock.now();
        let claim = Claim::new(*key, now);
        let is_new = if self.in_transaction {
            !self.broker.seen.knows(key, now)
        } else {
            self.broker.seen.claim(&claim, now)
        };
        if is_new {
            self.claims.push(claim);
        }
        is_new
    }
}

impl Open {
    /// Makes `self.route` the route of this message; what went another way before becomes commands.
    pub(super) fn route(
        &mut self,
        broker: &Broker,
        batch: &mut Batch,
        message: &Message<'_>,
        header: &ContentHeader<'_>,
        checked: Checked,
    ) -> Result<(), Exception> {
        let version = broker.topology_version.load(Ordering::Acquire);
        let route = &self.route;
        if route.version == version && !route.by_headers && !checked.has_copies && route.envelope == message.envelope {
            return Ok(());
        }
        batch.close_run(broker, &self.route.targets, UNCONFIRMED);
        if !self.route.counts_for(message.exchange) {
            self.count_published(broker);
        }
        let in_transaction = self
            .channels
            .get(&message.channel)
            .is_some_and(|channel| channel.transaction.is_some());
        let actor = Actor {
            vhost: &self.vhost,
            user: &self.user,
            connection: self.id,
        };
        self.route
            .find(broker, &actor, &self.known, message, (header, checked), in_transaction)
    }

    /// What is wrong with the exchange comes before what is wrong with the properties, as in RabbitMQ.
    #[cold]
    pub(super) fn exchange_refuses(&self, broker: &Broker, message: &Message<'_>) -> Result<(), Exception> {
        let site = broker.topology.read();
        site.topology
            .check_write(&self.actor(), message.exchange)
            .map_err(|error| Exception::of_topology(&error, PUBLISH))?;
        site.topology
            .route(&self.vhost, message.exchange, &[], &mut Facts::default, &mut Vec::new())
            .map_err(|error: RouteError| Exception::new(error.code(), PUBLISH, error.to_string()))
    }
}

impl Route {
    /// Whether a message to this exchange counts where the last one did.
    fn counts_for(&self, exchange: &[u8]) -> bool {
        self.exchange.as_ref().is_some_and(|counters| counters.is_of(exchange))
    }

    /// Becomes the route of this message, whose properties are known. `in_transaction`: what exchanges are to remember is claimed at the commit.
    pub(super) fn find(
        &mut self,
        broker: &Broker,
        actor: &Actor<'_>,
        known: &KnownProperties,
        message: &Message<'_>,
        (header, checked): (&ContentHeader<'_>, Checked),
        in_transaction: bool,
    ) -> Result<(), Exception> {
        let version = broker.topology_version.load(Ordering::Acquire);
        let route = self;
        route.targets.clear();
        route.version = 0;
        route.is_plain = false;
        let site = broker.topology.read();
        site.topology
            .check_write(actor, message.exchange)
            .map_err(|error| Exception::of_topology(&error, PUBLISH))?;
        let (one, several): ([&[u8]; 1], Vec<&[u8]>);
        let keys = if checked.has_copies {
            several = std::iter::once(message.routing_key)
                .chain(known.copies.keys.iter().map(|key| &key[..]))
                .collect();
            &several[..]
        } else {
            one = [message.routing_key];
            &one[..]
        };
        for key in keys {
            site.topology
                .check_topic(actor, Permission::Write, message.exchange, key)
                .map_err(|error| Exception::of_topology(&error, PUBLISH))?;
        }
        let mut asked = Asked {
            broker,
            properties: header.properties,
            claims: &mut route.claims,
            in_transaction,
            answered: false,
        };
        site.topology
            .route(actor.vhost, message.exchange, keys, &mut asked, &mut route.targets)
            .map_err(|error: RouteError| Exception::new(error.code(), PUBLISH, error.to_string()))?;
        let by_headers = checked.has_copies || asked.answered;
        (route.may_refuse, route.takes_tuples, route.rated) = (false, false, Vec::new());
        for target in &route.targets {
            if let Some(settings) = site.topology.settings(target.queue) {
                route.may_refuse |= settings.may_refuse();
                route.takes_tuples |= settings.space.is_some();
                route.rated.extend(broker.rates.of_queue(target.queue, &settings));
            }
        }
        drop(site);
        if !route.counts_for(message.exchange) {
            route.exchange = Some(broker.exchange_tallies.of(actor.vhost, message.exchange));
        }
        route.outs = route.targets.iter().filter(|target| !target.keeps).count() as u32;
        route.delay_ms = None;
        if route.targets.iter().any(|target| target.delays) {
            route.targets.sort_by_key(|target| target.delays);
            route.delay_ms = delay_ms(&Facts::of(header.properties, 0).headers);
        }
        route.replies = message.exchange.is_empty() && reply_names(message.routing_key, known).next().is_some();
        route.by_headers = by_headers;
        route.is_durable = route.targets.iter().any(|target| target.durable);
        route.reaches = route.targets.iter().any(|target| !target.keeps);
        route.is_plain = route.reaches
            && route.rated.is_empty()
            && !broker.config.message_interceptors.incoming.is_on()
            && !by_headers
            && !route.may_refuse
            && !route.takes_tuples
            && !route.replies
            && route.delay_ms.is_none();
        route.envelope.clear();
        route.envelope.extend_from_slice(message.envelope);
        route.version = version;
        Ok(())
    }
}

/// Those of a message's routing keys that may be names given for direct replies.
pub(super) fn reply_names<'a>(routing_key: &'a [u8], known: &'a KnownProperties) -> impl Iterator<Item = &'a [u8]> {
    let keys = std::iter::once(routing_key).chain(known.copies.keys.iter().map(|key| &key[..]));
    keys.filter(|key| reply_to::is_name(key))
}
