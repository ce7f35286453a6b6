//! The effects of a shard on the outside: deliveries into outlets, pages to the pager, the rest kept until the shard is unlocked.

use std::sync::Arc;

use hashbrown::HashMap;
use stoa_amqp::ShortString;
use stoa_core::ids::{BodyId, ConsumerId, OutletId, QueueId, Sequence};
use stoa_core::record::Records;
use stoa_core::settings::Settings;
use stoa_core::shard::{Command, Consumer, Delivery, Effects, Event, Letter, Reason, ReturnCause, Shard, StoredChunk, StoredError};

use crate::broker::Broker;
use crate::letters::{Parcel, Pending};
use crate::outlet::{Flush, LockedOutlet, Outlet};
use crate::pager::Page;
use crate::shards::{Op, Pages, Receipt, ShardCell, UNCONFIRMED};

/// What one run of a shard brings about.
pub(crate) struct Dispatch<'b> {
    broker: &'b Arc<Broker>,
    shard: usize,
    /// The outlet that was delivered to last, still locked: deliveries come in runs.
    current: Option<(OutletId, LockedOutlet)>,
    touched: Vec<Arc<Outlet>>,
    stalled: Vec<OutletId>,
    /// Deliveries that found their channel gone.
    returns: Vec<Return>,
    pages: Pages,
    unused: Vec<QueueId>,
    expired: Vec<QueueId>,
    /// What the messages are called that are being applied, by the receipt of their batch, and those that were refused.
    confirm: u32,
    refused: Vec<u32>,
    /// What leaves queues of the shard for others.
    letters: Parcel,
    /// There are letters in the shard's outbox.
    posts: bool,
    /// Letters from other shards that have all been applied.
    arrived: Vec<Arc<Pending>>,
    /// Outlets whose task has to go on with the socket.
    wake: Vec<Arc<Outlet>>,
}

struct Return {
    queue: QueueId,
    consumer: ConsumerId,
    first: Sequence,
    count: u32,
}

impl<'b> Dispatch<'b> {
    pub(crate) fn new(broker: &'b Arc<Broker>, shard: usize) -> Self {
        Self {
            broker,
            shard,
            current: None,
            touched: Vec::new(),
            stalled: Vec::new(),
            returns: Vec::new(),
            pages: Vec::new(),
            unused: Vec::new(),
            expired: Vec::new(),
            confirm: UNCONFIRMED,
            refused: Vec::new(),
            letters: Parcel::default(),
            posts: false,
            arrived: Vec::new(),
            wake: Vec::new(),
        }
    }

    /// As the shard sees it: with the connections that consume from this shard.
    pub(crate) fn to<'d>(&'d mut self, outlets: &'d HashMap<OutletId, Arc<Outlet>>) -> ToOutlets<'d, 'b> {
        ToOutlets { dispatch: self, outlets }
    }

    /// A batch has been applied: what it published may be confirmed, at once or when it is durable. Says whether a queue refused some of it.
    pub(crate) fn applied(&mut self, receipt: Option<&Receipt>) -> bool {
        self.confirm = UNCONFIRMED;
        let refused = std::mem::take(&mut self.refused);
        let receipt = match receipt {
            Some(Receipt::Publisher(receipt)) => receipt,
            Some(Receipt::Letters(pending)) => {
                if pending.applied(&refused) {
                    self.arrived.push(pending.clone());
                }
                return !refused.is_empty();
            }
            Some(Receipt::Moves(list)) => {
                list.lock().extend_from_slice(&refused);
                return !refused.is_empty();
            }
            None => return !refused.is_empty(),
        };
        self.current = None;
        let mut state = receipt.outlet.lock();
        for &(channel, ticket, _) in refused.iter().filter_map(|at| receipt.channels.get(*at as usize)) {
            state.refused(channel, ticket);
        }
        for &(channel, ticket, durable) in &receipt.channels {
            let epoch = durable.then(|| self.broker.commits.register_once(&receipt.outlet, &mut state));
            state.applied(channel, ticket, epoch);
        }
        drop(state);
        self.touch(&receipt.outlet);
        !refused.is_empty()
    }

    fn touch(&mut self, outlet: &Arc<Outlet>) {
        if !self.touched.iter().any(|known| known.id == outlet.id) {
            self.touched.push(outlet.clone());
        }
    }

    /// Writes what was delivered. True: the shard has more to dispatch, because an outlet took all it was given, or something came back.
    pub(crate) fn flush(&mut self, shard: &mut Shard, outlets: &HashMap<OutletId, Arc<Outlet>>) -> bool {
        self.current = None;
        let mut more = false;
        for outlet in std::mem::take(&mut self.touched) {
            let stalled = self.stalled.contains(&outlet.id);
            let mut state = outlet.lock();
            if state.close.is_some() {
                self.wake.push(outlet.clone());
            }
            match outlet.flush(&mut state) {
                Flush::Done if stalled => {
                    drop(state);
                    shard.apply(Command::Resume { outlet: outlet.id }, &mut self.to(outlets));
                    more = true;
                }
                Flush::Done => {}
                Flush::Blocked | Flush::Dead => {
                    if stalled && !state.stalled.contains(&self.shard) {
                        state.stalled.push(self.shard);
                    }
                    drop(state);
                    self.wake.push(outlet);
                }
            }
        }
        self.stalled.clear();
        for back in std::mem::take(&mut self.returns) {
            let command = Command::Requeue {
                queue: back.queue,
                consumer: Some(back.consumer),
                first: back.first,
                count: back.count,
                cause: ReturnCause::Undelivered,
            };
            shard.apply(command, &mut self.to(outlets));
            more = true;
        }
        more
    }

    /// Hands on what the shard asked for. The shard is still locked: pages reach the store, and letters other queues, in the order in which it asked.
    pub(crate) fn hand_over(&mut self, cell: &ShardCell) {
        if !self.letters.is_empty() {
            cell.outbox.put(std::mem::take(&mut self.letters));
            self.posts = true;
        }
        if !self.pages.is_empty() {
            self.broker.pager.ask(std::mem::take(&mut self.pages));
        }
    }

    /// What must not be done while the shard is locked.
    pub(crate) fn after_unlock(&mut self) {
        for outlet in self.wake.drain(..) {
            outlet.wake.notify_one();
        }
        for queue in self.unused.drain(..) {
            self.broker.delete_unused(queue);
        }
        for queue in self.expired.drain(..) {
            self.broker.delete_expired(queue);
        }
        for pending in self.arrived.drain(..) {
            self.broker.letters_applied(pending);
        }
        if std::mem::take(&mut self.posts) {
            self.broker.post_letters(self.shard);
        }
    }
}

/// A [`Dispatch`] with the outlets of its shard.
pub(crate) struct ToOutlets<'d, 'b> {
    dispatch: &'d mut Dispatch<'b>,
    outlets: &'d HashMap<OutletId, Arc<Outlet>>,
}

impl ToOutlets<'_, '_> {
    /// This is applied next.
    pub(crate) fn expect(&mut self, op: &Op) {
        if let Op::Publish { confirm, .. } = op {
            self.dispatch.confirm = *confirm;
        }
    }

    fn outlet(&mut self, id: OutletId) -> Option<&mut LockedOutlet> {
        if self.dispatch.current.as_ref().is_none_or(|(current, _)| *current != id) {
            self.dispatch.current = None;
            let outlet = self.outlets.get(&id)?;
            self.dispatch.touch(outlet);
            self.dispatch.current = Some((id, outlet.lock()));
        }
        self.dispatch.current.as_mut().map(|(_, locked)| locked)
    }
}

impl Effects for ToOutlets<'_, '_> {
    fn deliver(&mut self, delivery: Delivery<'_>) {
        let broker = self.dispatch.broker;
        let delivered = self
            .outlet(delivery.consumer.outlet)
            .is_some_and(|outlet| outlet.deliver(&delivery, &broker.bodies));
        if !delivered && !delivery.consumer.no_ack {
            let (queue, consumer, first, count) = (delivery.queue, delivery.consumer.id, delivery.first, delivery.records.count);
            self.dispatch.returns.push(Return {
                queue,
                consumer,
                first,
                count,
            });
        }
    }

    fn load(&mut self, queue: QueueId, chunk: Sequence) {
        self.dispatch.pages.push((self.dispatch.shard, Page::Load { queue, chunk }));
    }

    fn store(&mut self, chunk: StoredChunk) {
        let bodies = self.dispatch.broker.bodies.take_along(chunk.bodies().iter().map(|body| body.id));
        self.dispatch.pages.push((self.dispatch.shard, Page::Store(chunk, bodies)));
    }

    fn forget(&mut self, queue: QueueId, chunk: Sequence) {
        self.forget_range(queue, chunk, chunk);
    }

    fn forget_range(&mut self, queue: QueueId, first: Sequence, last: Sequence) {
        self.dispatch.pages.push((self.dispatch.shard, Page::Forget { queue, first, last }));
    }

    fn stalled(&mut self, outlet: OutletId) {
        if !self.dispatch.stalled.contains(&outlet) {
            self.dispatch.stalled.push(outlet);
        }
        if let Some(outlet) = self.outlets.get(&outlet) {
            self.dispatch.touch(outlet);
        }
    }

    fn lend(&mut self, consumer: &Consumer, wanted: u32) -> u32 {
        let shard = self.dispatch.shard;
        self.outlet(consumer.outlet)
            .map_or(0, |outlet| outlet.lend(consumer.channel, shard, wanted, consumer.no_ack))
    }

    fn dead(&mut self, letter: Letter<'_>) {
        let Dispatch { letters, broker, .. } = &mut *self.dispatch;
        broker
            .counters
            .dead
            .add(letter.queue, letter.settings, letter.reason, letter.records.count);
        letters.add(&letter, &broker.bodies);
    }

    fn refused(&mut self, queue: QueueId, settings: &Arc<Settings>, records: Records<'_>, dead_letter: bool) {
        let Dispatch { letters, broker, .. } = &mut *self.dispatch;
        if dead_letter && settings.dead_letter.is_some() {
            broker.counters.dead.add(queue, settings, Reason::MaxLength, records.count);
            letters.add_refused(queue, settings, records, &broker.bodies);
        }
        if self.dispatch.confirm != UNCONFIRMED {
            self.dispatch.refused.push(self.dispatch.confirm);
        }
    }

    fn noted(&mut self, queue: QueueId, event: Event, records: Records<'_>) {
        let Dispatch { letters, broker, .. } = &mut *self.dispatch;
        letters.add_note(queue, event, records, &broker.bodies);
    }

    fn replaced(&mut self) {
        self.dispatch.broker.commits.note_replaced();
    }

    fn expired(&mut self, queue: QueueId) {
        self.dispatch.expired.push(queue);
    }

    fn unused(&mut self, queue: QueueId) {
        self.dispatch.unused.push(queue);
    }

    fn cancelled(&mut self, consumer: &Consumer, _queue: QueueId) {
        let (channel, tag): (u16, ShortString) = (consumer.channel, consumer.tag.clone());
        if let Some(outlet) = self.outlet(consumer.outlet) {
            outlet.cancelled(channel, &tag);
        }
    }

    fn released(&mut self, body: BodyId) {
        self.dispatch.broker.bodies.release(body);
    }

    fn damaged(&mut self, queue: QueueId, chunk: Sequence, error: StoredError) {
        tracing::error!(%queue, %chunk, %error, "a chunk on disk is damaged: its queue delivers nothing from there on; restore the data directory from a backup");
    }
}
