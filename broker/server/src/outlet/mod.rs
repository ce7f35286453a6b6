//! A connection as everybody else sees it: what is to be written to its socket, what its channels have been delivered, which confirms they wait for.
//!
//! Whoever has something for a connection (its own task, whoever runs a shard, the commit thread) locks the outlet, appends, and writes to the
//! socket at once if it takes it. What the socket does not take is left to the connection's own task. Locks are taken in the order
//! topology, shard, outlet; wake-ups come after the unlock.

mod deliveries;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::{ArcMutexGuard, Mutex, RawMutex};
use stoa_amqp::{ReplyCode, ShortString, fast};
use stoa_core::channel::{Confirm, Confirms, Ticket, Unacked};
use stoa_core::ids::{ConnectionId, ConsumerId, Epoch, Millis, QueueId};
use stoa_core::shard::Traffic;
use tokio::sync::Notify;

use crate::counters::PublishCounters;
use crate::reply_to::ReplyConsumer;
use crate::transport::{Flushed, Session, Sink};

/// The write side of a connection.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) id: ConnectionId,
    socket: Sink,
    /// Wakes the connection's task: the outlet has something that only the task can do.
    pub(crate) wake: Notify,
    /// Its task is to look for deliveries that have been held for too long.
    pub(crate) overdue: AtomicBool,
    /// No delivery is overdue before this, in milliseconds.
    overdue_from: Arc<AtomicU64>,
    state: Arc<Mutex<OutletState>>,
}

/// A locked outlet that owns its lock, so that it can be kept over several deliveries.
pub(crate) type LockedOutlet = ArcMutexGuard<RawMutex, OutletState>;

#[derive(Debug, Default)]
pub(crate) struct OutletState {
    /// Encoded frames; those before `written` are on their way already.
    buffer: Vec<u8>,
    written: usize,
    frame_max: u32,
    channels: HashMap<u16, Box<ChannelOut>>,
    /// Replies that may go out once an epoch is durable, in their order.
    held: VecDeque<(Epoch, Vec<u8>)>,
    /// The epoch for which the commit thread knows of this outlet.
    pub(crate) registered: Option<Epoch>,
    /// Channels with publishes that wait for the disk.
    confirming: Vec<u16>,
    /// Shards that have more for this connection once the buffer has been written.
    pub(crate) stalled: Vec<usize>,
    /// Somebody else than the client wants the connection closed.
    pub(crate) close: Option<(ReplyCode, String)>,
    cancel_notify: bool,
    /// While the client deletes a queue: the cancellations of its own consumers, which come after the answer.
    postponed: Option<Vec<u8>>,
    dead: bool,
    /// Over TLS: what stands between the buffer and the socket.
    pub(crate) tls: Option<Box<Session>>,
    /// The outlet's, which is read without the lock.
    overdue_from: Arc<AtomicU64>,
    /// Octets handed to the socket since the connection began.
    pub(crate) octets_sent: u64,
}

/// What a channel has been given and waits for.
#[derive(Debug, Default)]
pub(crate) struct ChannelOut {
    pub(crate) unacked: Unacked,
    pub(crate) confirms: Confirms,
    pub(crate) consumers: HashMap<ShortString, ConsumerRef>,
    /// Direct reply-to: whom replies go to.
    pub(crate) replies: Option<ReplyConsumer>,
    /// What was done with messages on it, and what it publishes, which its connection counts.
    pub(crate) traffic: Traffic,
    pub(crate) counts: Arc<PublishCounters>,
    /// What its client chose, for those who look.
    pub(crate) mode: ChannelMode,
    /// How many deliveries all its consumers together may hold (`basic.qos` with `global`); absent: as many as there are.
    pub(crate) limit: Option<u16>,
    /// Shards that were refused credit, the first one in front; each keeps its place until it gets some.
    refused: Vec<Refused>,
}

/// What a client chose for a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelMode {
    /// Deliveries that each new consumer may hold (`basic.qos`); 0: no limit.
    pub prefetch: u16,
    /// Publishes are confirmed.
    pub confirms: bool,
    /// Transactional.
    pub transactional: bool,
}

/// A shard that was refused credit for a channel.
#[derive(Clone, Copy, Debug)]
struct Refused {
    shard: usize,
    /// It was told since that there is some.
    told: bool,
}

/// Where a consumer of a channel hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerRef {
    pub(crate) id: ConsumerId,
    pub(crate) queue: QueueId,
}

/// What became of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Everything is with the kernel.
    Done,
    /// The socket takes no more now.
    Blocked,
    /// The peer is gone.
    Dead,
}

impl Outlet {
    pub(crate) fn new(id: ConnectionId, socket: Sink, tls: Option<Box<Session>>) -> Self {
        let overdue_from = Arc::new(AtomicU64::new(u64::MAX));
        let state = OutletState {
            tls,
            overdue_from: overdue_from.clone(),
            ..OutletState::default()
        };
        Self {
            id,
            socket,
            wake: Notify::new(),
            overdue: AtomicBool::new(false),
            overdue_from,
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(crate) fn lock(&self) -> LockedOutlet {
        self.state.lock_arc()
    }

    /// Writes what is there, as far as the socket takes it without waiting.
    pub(crate) fn flush(&self, state: &mut OutletState) -> Flush {
        if state.dead {
            return Flush::Dead;
        }
        if state.tls.is_some() {
            return self.flush_tls(state);
        }
        while state.written < state.buffer.len() {
            match self.socket.try_write(&state.buffer[state.written..]) {
                Ok(n) => {
                    state.written += n;
                    state.octets_sent += n as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Flush::Blocked,
                Err(_) => {
                    state.die();
                    return Flush::Dead;
                }
            }
        }
        state.recycle();
        Flush::Done
    }

    /// The same through TLS, whose own messages (the handshake, alerts) go out with it.
    fn flush_tls(&self, state: &mut OutletState) -> Flush {
        let Some(session) = &mut state.tls else { return Flush::Done };
        let (taken, flushed) = session.write(&state.buffer[state.written..], &self.socket);
        state.written += taken;
        state.octets_sent += taken as u64;
        match flushed {
            Flushed::Done => {
                state.recycle();
                Flush::Done
            }
            Flushed::Blocked => Flush::Blocked,
            Flushed::Dead => {
                state.die();
                Flush::Dead
            }
        }
    }

    /// Waits until the socket takes more.
    pub(crate) async fn writable(&self) -> std::io::Result<()> {
        self.socket.writable().await
    }

    /// Nothing more will be written.
    pub(crate) fn shut_down(&self) -> std::io::Result<()> {
        if let Some(session) = &mut self.lock().tls {
            session.say_close(&self.socket);
        }
        self.socket.shut_down()
    }

    /// The socket will end with a reset, and what the kernel still has for the client is dropped.
    pub(crate) fn reset_at_close(&self) {
        self.socket.reset_at_close();
    }

    /// Everything up to `epoch` is durable: confirms and held replies go out.
    pub(crate) fn durable(&self, epoch: Epoch) {
        let mut state = self.lock();
        let released = state.release_held(epoch);
        state.confirm_durable(epoch);
        let outcome = self.flush(&mut state);
        drop(state);
        // Its task may be waiting for the answers, to go on with what came after them.
        if outcome != Flush::Done || released {
            self.wake.notify_one();
        }
    }

    /// Makes its task look for deliveries that have been held for too long, if there may be some.
    pub(crate) fn check_overdue(&self, now: Millis) {
        if self.overdue_from.load(Ordering::Relaxed) <= now.0 && !self.overdue.swap(true, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    /// The store failed: what waits for it never becomes durable, and the connection is told so.
    pub(crate) fn close_with(&self, code: ReplyCode, text: String) {
        self.lock().close.get_or_insert((code, text));
        self.wake.notify_one();
    }
}

impl OutletState {
    pub(crate) fn open(&mut self, frame_max: u32, cancel_notify: bool) {
        self.frame_max = frame_max;
        self.cancel_notify = cancel_notify;
    }

    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max
    }

    /// Where frames are appended to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.buffer.capacity() == 0 {
            self.buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        &mut self.buffer
    }

    /// Where a reply is appended to that must not overtake those which wait for the disk.
    pub(crate) fn reply_buffer(&mut self) -> &mut Vec<u8> {
        if self.held.is_empty() {
            return self.buffer();
        }
        // replies after a held one wait with it
        &mut self.held.back_mut().expect("not empty").1
    }

    pub(crate) fn hold(&mut self, epoch: Epoch, reply: Vec<u8>) {
        self.held.push_back((epoch, reply));
    }

    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    fn release_held(&mut self, epoch: Epoch) -> bool {
        let before = self.held.len();
        while self.held.front().is_some_and(|(wanted, _)| *wanted <= epoch) {
            let (_, reply) = self.held.pop_front().expect("there is a front");
            self.buffer().extend_from_slice(&reply);
        }
        before != self.held.len()
    }

    /// Octets that wait for the socket.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// The connection is over: nothing is appended or written any more, and deliveries come back.
    pub(crate) fn die(&mut self) {
        self.dead = true;
        self.buffer = Vec::new();
        self.written = 0;
        self.held.clear();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    fn recycle(&mut self) {
        self.buffer.clear();
        self.written = 0;
        if self.buffer.capacity() > 0 {
            let buffer = std::mem::take(&mut self.buffer);
            BUFFERS.with_borrow_mut(|pool| {
                if buffer.capacity() <= BUFFER_KEPT_MAX && pool.len() < BUFFERS_MAX {
                    pool.push(buffer);
                }
            });
        }
    }

    pub(crate) fn channel(&mut self, number: u16) -> Option<&mut ChannelOut> {
        self.channels.get_mut(&number).map(Box::as_mut)
    }

    pub(crate) fn open_channel(&mut self, number: u16, counts: Arc<PublishCounters>) {
        let channel = ChannelOut {
            counts,
            ..ChannelOut::default()
        };
        self.channels.insert(number, Box::new(channel));
    }

    pub(crate) fn close_channel(&mut self, number: u16) -> Option<Box<ChannelOut>> {
        self.channels.remove(&number)
    }

    pub(crate) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    pub(crate) fn channels(&self) -> impl Iterator<Item = (u16, &ChannelOut)> {
        self.channels.iter().map(|(number, channel)| (*number, &**channel))
    }

    pub(crate) fn channel_numbers(&self) -> Vec<u16> {
        self.channels.keys().copied().collect()
    }

    /// A batch was handed to `jobs` shards that holds `count` publishes of this channel in confirm mode.
    pub(crate) fn expect_confirm(&mut self, number: u16, count: u32, jobs: u32) -> Option<Ticket> {
        let ticket = self.channel(number)?.confirms.published(count, jobs);
        if jobs == 0 {
            self.write_confirms(number);
        }
        Some(ticket)
    }

    /// A queue took none of the publishes that a ticket stands for: they are nacked.
    pub(crate) fn refused(&mut self, number: u16, ticket: Ticket) {
        if let Some(channel) = self.channel(number) {
            channel.confirms.refused(ticket);
        }
    }

    /// A shard has applied its part of a batch; `epoch` is what must be durable before it is confirmed.
    pub(crate) fn applied(&mut self, number: u16, ticket: Ticket, epoch: Option<Epoch>) {
        let Some(channel) = self.channel(number) else { return };
        channel.confirms.applied(ticket, epoch);
        if epoch.is_some() && !self.confirming.contains(&number) {
            self.confirming.push(number);
        }
        self.write_confirms(number);
    }

    fn confirm_durable(&mut self, epoch: Epoch) {
        let mut confirming = std::mem::take(&mut self.confirming);
        confirming.retain(|&number| {
            let Some(channel) = self.channel(number) else { return false };
            channel.confirms.durable(epoch);
            let waits = channel.confirms.awaited().is_some();
            self.write_confirms(number);
            waits
        });
        self.confirming = confirming;
    }

    fn write_confirms(&mut self, number: u16) {
        while let Some(Confirm { tag, multiple, refused }) = self.channel(number).and_then(|channel| channel.confirms.next()) {
            if self.dead {
                continue;
            }
            let write = if refused { fast::write_nack } else { fast::write_ack };
            write(self.buffer(), number, tag.0, multiple);
        }
    }
}

/// Buffers kept for reuse by a thread, and the largest that is kept: an idle connection holds none.
const BUFFERS_MAX: usize = 16;
const BUFFER_KEPT_MAX: usize = 1 << 20;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}
