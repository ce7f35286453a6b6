//! Posting: letters are made of messages, routed through an exchange, and handed to the shards of the queues that they go to.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;
use stoa_amqp::WireError;
use stoa_amqp::content::ContentHeader;
use stoa_core::dead_letter::{DeadLetter, Death, after_delay, dead_letter};
use stoa_core::ids::{Millis, QueueId};
use stoa_core::record::{Head, Record, flags};
use stoa_core::settings::DeadLetterTo;
use stoa_core::shard::Reason;
use stoa_core::topology::{Facts, Inquiry, MessageKey, Queue, RouteTarget, Topology, delay_ms};

use super::answer::{Answer, Offer};
use super::{Errand, Parcel, Pending, Run};
use crate::broker::Broker;
use crate::deduplication::Claim;
use crate::shards::{Job, Op, Receipt, UNCONFIRMED};

/// What a parcel amounts to.
pub(super) struct Post<'b> {
    pub(super) broker: &'b Arc<Broker>,
    pub(super) arena: Vec<u8>,
    pub(super) per_shard: Vec<Vec<Op>>,
    answers: Vec<Answer>,
    unrouted: Vec<u32>,
    offers: Vec<Offer>,
    durable: bool,
    /// Exchanges remember keys of letters: these and the letters are one.
    keyed: bool,
    /// Of the letter at hand.
    pub(super) targets: Vec<RouteTarget>,
    /// Of the letter at hand.
    pub(super) claims: Vec<Claim>,
    /// The queues that have taken the letter at hand before.
    took: Vec<QueueId>,
}

/// A message as it goes into queues.
pub(crate) struct Content<'a> {
    pub(crate) record: Record<'a>,
    pub(crate) due: Option<Millis>,
    pub(crate) envelope: &'a [u8],
    pub(crate) header: &'a [u8],
}

/// What exchanges want to know of a letter.
pub(super) struct Asked<'p> {
    pub(super) broker: &'p Broker,
    pub(super) header: &'p [u8],
    /// A letter that must arrive is not looked at as a duplicate: there would be nobody to keep it.
    pub(super) even_twice: bool,
    pub(super) claims: &'p mut Vec<Claim>,
}

impl Inquiry for Asked<'_> {
    fn facts(&mut self) -> Facts {
        self.broker.facts(self.header)
    }

    fn is_new(&mut self, key: &MessageKey) -> bool {
        let now = self.broker.timers.clock.now();
        let claim = Claim::new(*key, now);
        let is_new = self.even_twice || self.broker.seen.claim(&claim, now);
        if is_new && !self.even_twice {
            self.claims.push(claim);
        }
        is_new
    }
}

impl Broker {
    /// Posts a parcel that came from this shard.
    pub(super) fn post(self: &Arc<Self>, source: usize, parcel: &Parcel) {
        let mut post = Post::new(self, 2 * parcel.arena.len());
        let mut letters = 0;
        for run in &parcel.runs {
            // Not for the whole parcel: whoever wants to change the topology must not wait that long.
            post.run(&self.topology.read().topology, run, parcel, letters);
            letters += run.count;
        }
        let Post {
            arena,
            per_shard,
            answers,
            unrouted,
            offers,
            durable,
            keyed,
            ..
        } = post;
        let jobs = per_shard.iter().filter(|ops| !ops.is_empty()).count();
        let pending = Arc::new(Pending {
            source,
            jobs: AtomicUsize::new(jobs),
            answers,
            durable,
            unrouted,
            offers,
            refused: Mutex::default(),
        });
        if jobs == 0 {
            return self.letters_applied(pending);
        }
        let receipt = Receipt::Letters(pending);
        let _whole = keyed.then(|| self.commits.transaction());
        for (cell, ops) in self.shards.iter().zip(&per_shard) {
            if !ops.is_empty() {
                let job = Job {
                    ops,
                    arena: &arena,
                    receipt: Some(&receipt),
                };
                if keyed {
                    cell.apply_now(self, job);
                } else {
                    cell.submit(self, job);
                }
            }
        }
    }
}

impl<'b> Post<'b> {
    pub(super) fn new(broker: &'b Arc<Broker>, capacity: usize) -> Self {
        Self {
            broker,
            arena: Vec::with_capacity(capacity),
            per_shard: (0..broker.shards.len()).map(|_| Vec::new()).collect(),
            answers: Vec::new(),
            unrouted: Vec::new(),
            offers: Vec::new(),
            durable: false,
            keyed: false,
            targets: Vec::new(),
            claims: Vec::new(),
            took: Vec::new(),
        }
    }
}

impl Post<'_> {
    /// Letters that come from one queue; the first is the parcel's `letter`-th.
    fn run(&mut self, topology: &Topology, run: &Run, parcel: &Parcel, first_letter: u32) {
        let (settings, reason) = match &run.errand {
            Errand::Letter(settings, reason) => (settings, *reason),
            Errand::Note(event) => return self.notes(topology, run, parcel, *event),
        };
        let to = settings.dead_letter.as_ref();
        let at_least_once = reason != Reason::Due && to.is_some_and(|to| to.at_least_once);
        let source = topology.queue_by_id(run.queue);
        for (record, letter) in parcel.records(run).iter().zip(first_letter..) {
            self.targets.clear();
            let place = run.first.map(|first| first.plus((letter - first_letter).into()));
            self.took = match place {
                Some(place) if at_least_once => self.broker.takers.take(run.queue, place),
                _ => Vec::new(),
            };
            let must_arrive = at_least_once.then_some(letter);
            let taken = match (reason, &source, to) {
                (Reason::Due, ..) => self.delayed(topology, run.queue, record),
                (reason, Some(source), Some(to)) => self.dead(topology, (source, to), reason, record, must_arrive),
                // The queue is gone, and with it what was in it.
                _ => true,
            };
            if !taken {
                self.unrouted.push(letter);
            }
            if let Some(body) = record.body_ref() {
                self.broker.bodies.release(body.id);
            }
        }
        if let Some(first) = run.first {
            self.answers.push(Answer {
                queue: run.queue,
                first,
                count: run.count,
                letter: first_letter,
                at_least_once,
            });
        }
    }

    /// A dead letter. False: there is no queue for it.
    fn dead(
        &mut self,
        topology: &Topology,
        (source, to): (&Queue, &DeadLetterTo),
        reason: Reason,
        record: Record<'_>,
        must_arrive: Option<u32>,
    ) -> bool {
        let death = Death {
            reason,
            queue: &source.name,
            exchange: &to.exchange,
            routing_key: to.routing_key.as_ref(),
            time: self.broker.timers.clock.now().0 / 1000,
        };
        let letter = match dead_letter(record, &death) {
            Ok(letter) => letter,
            Err(error) => return malformed(source.id, &error),
        };
        self.route(topology, source, to, &letter);
        let content = Content {
            record,
            due: None,
            envelope: &letter.envelope,
            header: &letter.header,
        };
        let waits = source.durable && source.exclusive.is_none();
        self.deliver(&content, waits, must_arrive)
    }

    /// Finds the queues that a dead letter goes to. Without the exchange there are none (RabbitMQ).
    fn route(&mut self, topology: &Topology, source: &Queue, to: &DeadLetterTo, letter: &DeadLetter) {
        let Self {
            broker, targets, claims, ..
        } = self;
        let mut asked = Asked {
            broker,
            header: &letter.header,
            even_twice: to.at_least_once,
            claims,
        };
        let keys: Vec<&[u8]> = letter.routing_keys.iter().map(|key| key.as_bytes()).collect();
        topology
            .route_letter(&source.vhost, to.exchange.as_bytes(), &keys, &mut asked, targets)
            .ok();
        targets.retain(|target| {
            let queue = topology.queue_by_id(target.queue);
            let is_cycle = queue.as_ref().is_some_and(|queue| letter.is_cycle(&queue.name));
            if is_cycle {
                tracing::debug!(from = %source.name, to = ?queue.map(|queue| queue.name.clone()), "a message would go round in a circle of dead-letter exchanges: it is dropped");
            }
            !is_cycle
        });
    }

    /// A message that a delayed-message exchange lets go. What finds no queue is dropped, as when it is published to another exchange.
    fn delayed(&mut self, topology: &Topology, holding: QueueId, record: Record<'_>) -> bool {
        let letter = match after_delay(record) {
            Ok(letter) => letter,
            Err(error) => return malformed(holding, &error),
        };
        let mut asked = Asked {
            broker: self.broker,
            header: &letter.header,
            even_twice: false,
            claims: &mut self.claims,
        };
        let keys: Vec<&[u8]> = letter.routing_keys.iter().map(|key| key.as_bytes()).collect();
        topology.route_due(holding, &keys, &mut asked, &mut self.targets);
        let content = Content {
            record,
            due: letter.expiration_ms.map(|ms| self.broker.in_ms(ms)),
            envelope: record.envelope(),
            header: &letter.header,
        };
        self.deliver(&content, true, None);
        true
    }

    /// Adds a message to the parts of the shards that it goes to; `waits`: its queue keeps it until it is durable; `must_arrive`: its number in the
    /// parcel, if it must. False: it goes nowhere.
    pub(super) fn deliver(&mut self, content: &Content<'_>, waits: bool, must_arrive: Option<u32>) -> bool {
        let claims = std::mem::take(&mut self.claims);
        if self.targets.iter().all(|target| target.keeps) {
            self.broker.seen.give_back(&claims);
        }
        if self.targets.is_empty() {
            return false;
        }
        let took = std::mem::take(&mut self.took);
        self.targets.retain(|target| !took.contains(&target.queue));
        if let Some(letter) = must_arrive {
            // They will not refuse it any more, and are remembered once more if others do.
            self.offers.extend(took.into_iter().map(|to| Offer { letter, to }));
        }
        if self.targets.is_empty() {
            return true;
        }
        let record = content.record;
        let is_durable = record.is_persistent() && self.targets.iter().any(|target| target.durable);
        self.durable |= is_durable && waits;
        if let Some(body) = record.body_ref()
            && !self.broker.bodies.retain(body.id, self.targets.len() as u32, is_durable)
        {
            tracing::error!(body = %body.id, "the body of a message is missing: it cannot go to another queue");
            return true;
        }
        let (mut plain, mut delayed) = (None, None);
        for target in std::mem::take(&mut self.targets) {
            let place = if target.delays { &mut delayed } else { &mut plain };
            let (start, end) = *place.get_or_insert_with(|| {
                let due = if target.delays {
                    let headers = self.broker.facts(content.header).headers;
                    Some(self.broker.in_ms(delay_ms(&headers).unwrap_or_default()))
                } else {
                    content.due
                };
                push_content(&mut self.arena, content, due)
            });
            let ops = &mut self.per_shard[self.broker.shard_index(target.queue)];
            let confirm = must_arrive.map_or(UNCONFIRMED, |letter| {
                self.offers.push(Offer { letter, to: target.queue });
                (self.offers.len() - 1) as u32
            });
            add_publish(ops, target.queue, (start, end), confirm);
        }
        self.remember(&claims, is_durable);
        true
    }

    /// Adds the records of keys that the letter has claimed.
    fn remember(&mut self, claims: &[Claim], is_durable: bool) {
        for claim in claims.iter().filter(|claim| claim.key.durable && is_durable) {
            let start = self.arena.len();
            claim.push(&mut self.arena);
            let ops = &mut self.per_shard[self.broker.shard_index(claim.key.queue)];
            add_publish(ops, claim.key.queue, (start, self.arena.len()), UNCONFIRMED);
            self.keyed = true;
        }
    }
}

impl Broker {
    /// What exchanges may want to know of a message.
    pub(crate) fn facts(&self, header: &[u8]) -> Facts {
        let properties = ContentHeader::decode(header).map(|content| content.properties);
        Facts::of(properties.unwrap_or_default(), self.draw())
    }

    pub(crate) fn in_ms(&self, ms: u64) -> Millis {
        Millis(self.timers.clock.now().0.saturating_add(ms))
    }
}

/// Publishing checks headers, and chunks have checksums.
fn malformed(queue: QueueId, error: &WireError) -> bool {
    tracing::error!(%queue, %error, "a message's header is malformed: it cannot go to another queue");
    true
}

/// Adds one message for a queue: to the command before, if that ends where this begins and nobody wants to know about each.
pub(crate) fn add_publish(ops: &mut Vec<Op>, to: QueueId, (from, upto): (usize, usize), told: u32) {
    if let Some(Op::Publish {
        queue,
        end,
        count,
        confirm: UNCONFIRMED,
        ..
    }) = ops.last_mut()
        && (*queue, *end, told) == (to, from, UNCONFIRMED)
    {
        *end = upto;
        *count += 1;
        return;
    }
    ops.push(Op::Publish {
        queue: to,
        start: from,
        end: upto,
        count: 1,
        confirm: told,
    });
}

/// Appends its record; gives where that is.
pub(crate) fn push_content(arena: &mut Vec<u8>, content: &Content<'_>, due: Option<Millis>) -> (usize, usize) {
    let Content {
        record, envelope, header, ..
    } = *content;
    let start = arena.len();
    let head = Head {
        flags: record.flags() & flags::PERSISTENT,
        priority: record.priority(),
        due,
        envelope,
        header,
    };
    match record.body_ref() {
        Some(body) => head.push_apart(arena, body),
        None => head.push(arena, record.body()),
    }
    (start, arena.len())
}
