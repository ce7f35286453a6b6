//! The shards and who runs them: whoever brings a batch and finds the shard idle runs it on the spot, otherwise the batch waits in the
//! shard's inbox for whoever is running it (flat combining). A queue belongs to exactly one shard.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use stoa_core::channel::Ticket;
use stoa_core::ids::{OutletId, QueueId};
use stoa_core::record::Records;
use stoa_core::shard::{Command, Shard};
use tokio::sync::Notify;

use crate::broker::Broker;
use crate::dispatch::{Dispatch, ToOutlets};
use crate::letters::{Outbox, Pending};
use crate::outlet::Outlet;
use crate::pager::Page;
use crate::timers::Timers;

/// One shard, the lock that makes it one thread at a time, and the batches that wait for it.
#[derive(Debug)]
pub(crate) struct ShardCell {
    pub(crate) index: usize,
    running: Mutex<Running>,
    inbox: Mutex<Vec<Waiting>>,
    inbox_bytes: AtomicUsize,
    /// What left the shard's queues for others.
    pub(crate) outbox: Outbox,
    /// A runner had more to dispatch when it let go of the shard.
    unfinished: AtomicBool,
    /// More messages in memory than configured, twice over: publishers wait for progress.
    pressed: AtomicBool,
    /// Counts what a connection may wait for: chunks that were loaded or stored, and the end of pressure.
    progress: AtomicU64,
    progressed: Notify,
    timers: Arc<Timers>,
}

/// A locked shard. It knows what time it is, and when it is let go of, the timers know when it is due.
pub(crate) struct LockedShard<'c> {
    running: MutexGuard<'c, Running>,
    cell: &'c ShardCell,
}

impl<'c> LockedShard<'c> {
    fn new(cell: &'c ShardCell, mut running: MutexGuard<'c, Running>) -> Self {
        running.shard.advance(cell.timers.clock.now());
        Self { running, cell }
    }
}

impl Deref for LockedShard<'_> {
    type Target = Running;
    fn deref(&self) -> &Running {
        &self.running
    }
}

impl DerefMut for LockedShard<'_> {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.running
    }
}

impl Drop for LockedShard<'_> {
    fn drop(&mut self) {
        self.cell.timers.set(self.cell.index, self.running.shard.next_due());
    }
}

/// What is behind a shard's lock.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) shard: Shard,
    /// The connections that consume from this shard.
    pub(crate) outlets: HashMap<OutletId, Arc<Outlet>>,
}

/// A command, whose records lie in the batch's arena if it has any.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Publish {
        queue: QueueId,
        start: usize,
        end: usize,
        count: u32,
        /// What the receipt calls the messages if the queue refuses them; [`UNCONFIRMED`] if nobody wants to know.
        confirm: u32,
    },
    /// One without records.
    Plain(Command<'static>),
}

impl From<Command<'static>> for Op {
    fn from(command: Command<'static>) -> Self {
        Self::Plain(command)
    }
}

/// Nobody is told if these messages are refused.
pub(crate) const UNCONFIRMED: u32 = u32::MAX;

/// A batch for one shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) ops: &'a [Op],
    pub(crate) arena: &'a [u8],
    pub(crate) receipt: Option<&'a Receipt>,
}

/// Who wants to know that a batch has been applied.
#[derive(Clone, Debug)]
pub(crate) enum Receipt {
    /// A publisher.
    Publisher(Confirming),
    /// The queues that letters came from.
    Letters(Arc<Pending>),
    /// Somebody who moves messages: told the numbers of those that a queue refused.
    Moves(Arc<Mutex<Vec<u32>>>),
}

/// The confirms of these channels wait for a batch.
#[derive(Clone, Debug)]
pub(crate) struct Confirming {
    pub(crate) outlet: Arc<Outlet>,
    /// Channel, its batch, and whether that must be durable before it is confirmed.
    pub(crate) channels: Vec<(u16, Ticket, bool)>,
}

/// What waits in an inbox.
#[derive(Debug)]
enum Waiting {
    Batch {
        ops: Vec<Op>,
        arena: Vec<u8>,
        receipt: Option<Receipt>,
    },
    /// The pager's answers.
    Answers(Vec<Command<'static>>),
}

impl Waiting {
    fn bytes(&self) -> usize {
        match self {
            Waiting::Batch { ops, arena, .. } => arena.len() + size_of_val(ops.as_slice()),
            Waiting::Answers(answers) => size_of_val(answers.as_slice()),
        }
    }
}

/// Rounds of dispatch by one runner, before it lets others use its thread.
const ROUNDS_MAX: usize = 16;

/// Octets of letters that wait to be posted, above which publishers to the shard wait.
const OUTBOX_BYTES_MAX: usize = 8 << 20;

impl ShardCell {
    pub(crate) fn new(index: usize, shard: Shard, timers: Arc<Timers>) -> Self {
        Self {
            index,
            running: Mutex::new(Running {
                shard,
                outlets: HashMap::new(),
            }),
            inbox: Mutex::default(),
            inbox_bytes: AtomicUsize::new(0),
            outbox: Outbox::default(),
            unfinished: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            progress: AtomicU64::new(0),
            progressed: Notify::new(),
            timers,
        }
    }

    /// The shard itself, for rare things. Whoever comes meanwhile leaves its work behind and goes: after the unlock,
    /// [`ShardCell::run_if_needed`] must follow.
    pub(crate) fn lock(&self) -> LockedShard<'_> {
        LockedShard::new(self, self.running.lock())
    }

    fn try_lock(&self) -> Option<LockedShard<'_>> {
        self.running.try_lock().map(|running| LockedShard::new(self, running))
    }

    /// Calls `f` with the shard.
    pub(crate) fn look<R>(&self, broker: &Arc<Broker>, f: impl FnOnce(&mut Running) -> R) -> R {
        let outcome = f(&mut self.lock());
        self.run_if_needed(broker);
        outcome
    }

    /// Runs the shard if somebody left work while it was locked.
    pub(crate) fn run_if_needed(&self, broker: &Arc<Broker>) {
        if self.unfinished.load(Ordering::SeqCst) || self.inbox_bytes.load(Ordering::SeqCst) > 0 {
            self.run_if_idle(broker);
        }
    }

    /// Publishers should wait: more is in memory than twice the limit, or too many letters wait to be posted.
    pub(crate) fn is_pressed(&self) -> bool {
        self.is_full() || self.outbox.bytes() > OUTBOX_BYTES_MAX
    }

    /// More is in memory than twice the limit.
    pub(crate) fn is_full(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// Applies a batch now, or leaves it to whoever is running the shard.
    pub(crate) fn submit(&self, broker: &Arc<Broker>, job: Job<'_>) {
        if let Some(running) = self.try_lock() {
            return self.run(broker, running, Some(job));
        }
        let batch = Waiting::Batch {
            ops: job.ops.to_vec(),
            arena: job.arena.to_vec(),
            receipt: job.receipt.cloned(),
        };
        if self.leave(batch) > broker.config.limits.inbox_bytes_max {
            let running = self.lock();
            self.run(broker, running, None);
        } else {
            self.run_if_idle(broker);
        }
    }

    /// Applies a batch before this returns, behind what waits in the inbox; says whether a queue refused some of it.
    pub(crate) fn apply_now(&self, broker: &Arc<Broker>, job: Job<'_>) -> bool {
        self.in_order(broker, |running, dispatch| apply(running, dispatch, &job))
    }

    /// Calls `f` with the shard, behind what waits in the inbox, and dispatches afterwards.
    pub(crate) fn in_order<'b, R>(&self, broker: &'b Arc<Broker>, f: impl FnOnce(&mut Running, &mut Dispatch<'b>) -> R) -> R {
        let (mut running, mut dispatch) = self.begin(broker);
        let outcome = f(&mut running, &mut dispatch);
        self.end(broker, running, dispatch);
        outcome
    }

    /// Locks the shard and applies what waits in the inbox: what a connection does on the spot must not overtake the batches that it has left there.
    /// No outlet is locked then. [`ShardCell::end`] must follow.
    pub(crate) fn begin<'b>(&self, broker: &'b Arc<Broker>) -> (LockedShard<'_>, Dispatch<'b>) {
        let mut running = self.lock();
        let mut dispatch = Dispatch::new(broker, self.index);
        if self.take_in(&mut running, &mut dispatch) {
            let Running { shard, outlets } = &mut *running;
            dispatch.flush(shard, outlets);
        }
        (running, dispatch)
    }

    /// Dispatches, and lets go of the shard. The topology must not be locked.
    pub(crate) fn end<'b>(&self, broker: &'b Arc<Broker>, mut running: LockedShard<'_>, mut dispatch: Dispatch<'b>) {
        let Running { shard, outlets } = &mut *running;
        dispatch.flush(shard, outlets);
        dispatch.hand_over(self);
        self.run(broker, running, None);
        dispatch.after_unlock();
    }

    /// Takes the pager's answers.
    pub(crate) fn answer(&self, broker: &Arc<Broker>, answers: Vec<Command<'static>>) {
        self.leave(Waiting::Answers(answers));
        self.run_if_idle(broker);
        self.note_progress();
    }

    /// Leaves commands in the inbox. The shard is not run.
    pub(crate) fn leave_ops(&self, ops: Vec<Op>) {
        self.leave(Waiting::Batch {
            ops,
            arena: Vec::new(),
            receipt: None,
        });
    }

    /// Leaves a batch in the inbox. The shard is not run.
    pub(crate) fn leave_batch(&self, ops: Vec<Op>, arena: Vec<u8>) {
        self.leave(Waiting::Batch { ops, arena, receipt: None });
    }

    /// Applies what waits in the inbox before this returns.
    pub(crate) fn apply_inbox(&self, broker: &Arc<Broker>) {
        let nothing = Job {
            ops: &[],
            arena: &[],
            receipt: None,
        };
        self.apply_now(broker, nothing);
    }

    /// Less waits in the outbox than before.
    pub(crate) fn outbox_shrank(&self, before: usize) {
        if before > OUTBOX_BYTES_MAX && self.outbox.bytes() <= OUTBOX_BYTES_MAX {
            self.note_progress();
        }
    }

    /// Puts something into the inbox; gives the octets that wait there now.
    fn leave(&self, waiting: Waiting) -> usize {
        let bytes = waiting.bytes();
        let inbox_bytes = self.inbox_bytes.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.inbox.lock().push(waiting);
        inbox_bytes
    }

    /// How far the shard has come: a change means that what a connection waits for may have come about.
    pub(crate) fn progress(&self) -> u64 {
        self.progress.load(Ordering::SeqCst)
    }

    fn note_progress(&self) {
        self.progress.fetch_add(1, Ordering::SeqCst);
        self.progressed.notify_waiters();
    }

    /// Waits until [`ShardCell::progress`] is no longer what it was.
    pub(crate) async fn progress_since(&self, seen: u64) {
        loop {
            let progressed = self.progressed.notified();
            tokio::pin!(progressed);
            progressed.as_mut().enable();
            if self.progress() != seen {
                return;
            }
            progressed.await;
        }
    }

    /// Runs the shard if nobody does; otherwise whoever does will see the inbox.
    pub(crate) fn run_if_idle(&self, broker: &Arc<Broker>) {
        if let Some(running) = self.try_lock() {
            self.run(broker, running, None);
        }
    }

    /// Runs the shard, or makes sure that whoever has it does, after something was changed behind the lock.
    pub(crate) fn run_soon(&self, broker: &Arc<Broker>) {
        self.unfinished.store(true, Ordering::SeqCst);
        self.run_if_idle(broker);
    }

    fn run(&self, broker: &Arc<Broker>, running: LockedShard<'_>, mut job: Option<Job<'_>>) {
        let mut running = running;
        let mut rounds = 0;
        loop {
            let mut dispatch = Dispatch::new(broker, self.index);
            let more = self.round(&mut running, &mut dispatch, job.take());
            let memory_bytes_max = 2 * broker.config.limits.memory_bytes_max / broker.shards.len();
            let pressed = running.shard.resident_bytes() > memory_bytes_max as u64;
            let relieved = self.pressed.swap(pressed, Ordering::SeqCst) && !pressed;
            let dirty = running.shard.is_dirty();
            dispatch.hand_over(self);
            drop(running);
            if dirty {
                broker.commits.note_dirty();
            }
            if relieved {
                self.note_progress();
            }
            dispatch.after_unlock();
            rounds += 1;
            if !more && self.inbox_bytes.load(Ordering::SeqCst) == 0 {
                return;
            }
            if more {
                self.unfinished.store(true, Ordering::SeqCst);
            }
            if rounds == ROUNDS_MAX {
                return broker.run_later(self.index);
            }
            match self.try_lock() {
                Some(again) => running = again,
                // Whoever has it looks at the inbox and at `unfinished` when it lets go.
                None => return,
            }
        }
    }

    fn round(&self, running: &mut Running, dispatch: &mut Dispatch<'_>, job: Option<Job<'_>>) -> bool {
        self.unfinished.store(false, Ordering::SeqCst);
        self.take_in(running, dispatch);
        if let Some(job) = job {
            apply(running, dispatch, &job);
        }
        let Running { shard, outlets } = running;
        let more = shard.dispatch(&mut dispatch.to(outlets));
        dispatch.flush(shard, outlets) || more
    }

    /// Applies what waits in the inbox; says whether that was anything.
    fn take_in(&self, running: &mut Running, dispatch: &mut Dispatch<'_>) -> bool {
        let any = self.inbox_bytes.load(Ordering::SeqCst) > 0;
        if any {
            let jobs = std::mem::take(&mut *self.inbox.lock());
            for waiting in jobs {
                self.inbox_bytes.fetch_sub(waiting.bytes(), Ordering::SeqCst);
                match waiting {
                    Waiting::Batch { ops, arena, receipt } => {
                        apply(
                            running,
                            dispatch,
                            &Job {
                                ops: &ops,
                                arena: &arena,
                                receipt: receipt.as_ref(),
                            },
                        );
                    }
                    Waiting::Answers(answers) => {
                        let Running { shard, outlets } = running;
                        answers
                            .into_iter()
                            .for_each(|answer| shard.apply(answer, &mut dispatch.to(outlets)));
                    }
                }
            }
        }
        any
    }
}

/// Applies a batch; says whether a queue refused some of it.
fn apply(running: &mut Running, dispatch: &mut Dispatch<'_>, job: &Job<'_>) -> bool {
    let Running { shard, outlets } = running;
    let mut effects = dispatch.to(outlets);
    for op in job.ops {
        effects.expect(op);
        shard.apply(op.command(job.arena), &mut effects);
    }
    dispatch.applied(job.receipt)
}

impl Op {
    fn command<'a>(&self, arena: &'a [u8]) -> Command<'a> {
        match *self {
            Op::Publish {
                queue, start, end, count, ..
            } => Command::Publish {
                queue,
                records: Records {
                    bytes: &arena[start..end],
                    count,
                },
            },
            Op::Plain(ref command) => command.clone(),
        }
    }
}

impl Broker {
    /// The shard that a queue belongs to.
    pub(crate) fn shard_of(&self, queue: QueueId) -> &ShardCell {
        &self.shards[self.shard_index(queue)]
    }

    pub(crate) fn shard_index(&self, queue: QueueId) -> usize {
        (queue.original().0 % self.shards.len() as u64) as usize
    }

    /// Calls `f` with the shard of a queue, behind what waits in its inbox, and lets the shard dispatch afterwards.
    pub(crate) fn with_shard<R>(self: &Arc<Self>, queue: QueueId, f: impl FnOnce(&mut Shard, &mut ToOutlets<'_, '_>) -> R) -> R {
        self.shard_of(queue).in_order(self, |Running { shard, outlets }, dispatch| {
            let outlets = &*outlets;
            f(shard, &mut dispatch.to(outlets))
        })
    }

    /// A connection's socket has taken everything: the shard may deliver to it again.
    pub(crate) fn resume(self: &Arc<Self>, shard: usize, outlet: OutletId) {
        self.shards[shard].submit(
            self,
            Job {
                ops: &[Command::Resume { outlet }.into()],
                arena: &[],
                receipt: None,
            },
        );
    }

    /// A connection is gone, and its consumers with it.
    pub(crate) fn forget_outlet(self: &Arc<Self>, outlet: OutletId) {
        for cell in &self.shards {
            if cell.look(self, |running| running.outlets.remove(&outlet).is_some()) {
                cell.submit(
                    self,
                    Job {
                        ops: &[Command::Gone { outlet }.into()],
                        arena: &[],
                        receipt: None,
                    },
                );
            }
        }
    }
}

/// What the shards ask of the pager, with the shard's index.
pub(crate) type Pages = Vec<(usize, Page)>;
