//! Group commit: one thread that gathers what the shards and the topology want kept, writes and syncs it, and tells those who wait.
//!
//! An *epoch* is what one commit takes in. Whoever changed a shard and then reads the open epoch knows that its change is durable once
//! that epoch is: the epoch is closed before the shards are asked. At once when somebody waits; otherwise changes gather for a few
//! milliseconds, and what came and went in that time is never written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};
use stoa_amqp::ReplyCode;
use stoa_core::ids::Epoch;
use stoa_core::log::{LogRecord, LogWriter};
use stoa_storage::{CommitNumber, Journal, TableError, WriteError};
use tokio::sync::oneshot;

use crate::broker::Broker;
use crate::buckets::Buckets;
use crate::outlet::{Outlet, OutletState};

/// What everybody shares with the commit thread.
#[derive(Debug)]
pub(crate) struct Commits {
    open: AtomicU64,
    /// The number that the next commit gets, and the first one that the journal must still hold.
    next_commit: AtomicU64,
    needed_from: AtomicU64,
    journal_bytes: AtomicU64,
    /// What commits cost.
    costs: Mutex<Costs>,
    dirty: AtomicBool,
    failed: AtomicBool,
    /// Held for reading by a transaction while its parts reach their shards, for writing by a commit while it asks the shards.
    gate: RwLock<()>,
    /// The last epoch that a transaction may be part of.
    transactions: AtomicU64,
    asks: Mutex<Asks>,
    signal: Condvar,
    /// An epoch is durable, or none will be any more.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct Asks {
    waiters: Vec<Arc<Outlet>>,
    /// Those who wait without an outlet: they hear of success, or nothing ever more.
    others: Vec<oneshot::Sender<()>>,
    /// Somebody waits: commit now.
    wanted: bool,
    /// Something changed that nobody waits for: commit when it has gathered long enough.
    dirty_since: Option<Instant>,
    checkpoint_done: bool,
    /// The tables wait for a commit: it does not wait for a checkpoint.
    pressing: bool,
    /// The last epoch that is durable.
    durable: Epoch,
    /// The commit thread has ended.
    ended: bool,
    stop: bool,
}

/// What commits took so far.
#[derive(Clone, Copy, Debug, Default)]
struct Costs {
    micros: Buckets,
    octets: Buckets,
    waiters: u64,
}

/// Figures of the commit thread, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitStatus {
    /// Commits since the journal began.
    pub commits: u64,
    /// Octets of journal segments in use.
    pub journal_bytes: u64,
    /// How long commits took, in microseconds, since the start: from asking the shards until all was synced.
    pub durations: Buckets,
    /// Octets that commits wrote to the journal since the start.
    pub sizes: Buckets,
    /// Connections that waited for commits since the start.
    pub waiters: u64,
    /// A write or sync failed: nothing is accepted or confirmed any more.
    pub failed: bool,
}

impl Commits {
    pub(crate) fn new(next: CommitNumber) -> Self {
        Self {
            open: AtomicU64::new(1),
            next_commit: AtomicU64::new(next.0),
            needed_from: AtomicU64::new(0),
            journal_bytes: AtomicU64::new(0),
            costs: Mutex::default(),
            dirty: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            gate: RwLock::new(()),
            transactions: AtomicU64::new(0),
            asks: Mutex::default(),
            signal: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    /// The epoch that takes in everything applied before this call.
    pub(crate) fn open_epoch(&self) -> Epoch {
        Epoch(self.open.load(Ordering::SeqCst))
    }

    /// Asks for a commit of everything applied before this call and for a call of [`Outlet::durable`] after it. `None`: the store has failed, and
    /// there will be none.
    fn register(&self, outlet: &Arc<Outlet>) -> Option<Epoch> {
        let mut asks = self.asks.lock();
        if self.has_failed() {
            return None;
        }
        let epoch = self.open_epoch();
        asks.waiters.push(outlet.clone());
        self.want(&mut asks);
        Some(epoch)
    }

    /// Asks for a commit of everything applied before this call, and resolves when that is durable, with an error if it never will be.
    pub(crate) fn durable(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut asks = self.asks.lock();
        if !self.has_failed() {
            asks.others.push(sender);
            self.want(&mut asks);
        }
        receiver
    }

    /// Asks for a commit of everything applied before this call and for a call of [`Outlet::durable`] after it, unless the commit thread knows of
    /// this outlet already. If the store has failed, the epoch is one that never comes.
    pub(crate) fn register_once(&self, outlet: &Arc<Outlet>, state: &mut OutletState) -> Epoch {
        if let Some(epoch) = state.registered.filter(|epoch| *epoch == self.open_epoch()) {
            return epoch;
        }
        state.registered = self.register(outlet);
        state.registered.unwrap_or(Epoch::NEVER)
    }

    /// To be held while the parts of a transaction are applied to their shards: one commit takes them all in, or a later one does. Nothing else
    /// may be locked when this is called.
    ///
    /// Commits are what a restart sees, but for the tables, which are written as memory wants it and whose writes may become durable before the
    /// commit does. So the pager calls [`await_transactions`](Self::await_transactions) before it writes any of what shards ask of it: nothing that
    /// a transaction did, be it a message, an acknowledgement or the deletion of a chunk with it, reaches the tables before its commit is durable.
    pub(crate) fn transaction(&self) -> RwLockReadGuard<'_, ()> {
        let gate = self.gate.read();
        // No later epoch can be the one that takes it in; and what shards ask of the pager from here on comes after this.
        self.transactions.fetch_max(self.open_epoch().0, Ordering::SeqCst);
        gate
    }

    /// A shard, which is locked, has put a message in the place of another: that must be one step for a restart, too. It is as if there were a
    /// transaction of the two.
    pub(crate) fn note_replaced(&self) {
        self.transactions.fetch_max(self.open_epoch().0, Ordering::SeqCst);
    }

    /// Waits until all transactions that have begun to be applied before this call are durable. False: that will not be, because the store has
    /// failed or the broker stops; what came of them must not be written.
    pub(crate) fn await_transactions(&self) -> bool {
        let wanted = Epoch(self.transactions.load(Ordering::SeqCst));
        let mut asks = self.asks.lock();
        while asks.durable < wanted {
            if asks.ended {
                return false;
            }
            asks.pressing = true;
            asks.wanted = true;
            self.signal.notify_one();
            self.progress.wait(&mut asks);
        }
        true
    }

    /// A commit took so long, for so many octets and connections.
    fn note_cost(&self, took: Duration, octets: u64, waiters: usize) {
        let mut costs = self.costs.lock();
        costs.micros.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        costs.octets.record(octets);
        costs.waiters += waiters as u64;
    }

    fn is_durable(&self, epoch: Epoch) {
        self.asks.lock().durable = epoch;
        self.progress.notify_all();
    }

    fn has_ended(&self) {
        self.asks.lock().ended = true;
        self.progress.notify_all();
    }

    fn want(&self, asks: &mut Asks) {
        if !asks.wanted {
            asks.wanted = true;
            self.signal.notify_one();
        }
    }

    /// Something changed that must be kept, but nobody waits for it.
    pub(crate) fn note_dirty(&self) {
        if !self.dirty.swap(true, Ordering::SeqCst) {
            let mut asks = self.asks.lock();
            if asks.dirty_since.is_none() {
                asks.dirty_since = Some(Instant::now());
                self.signal.notify_one();
            }
        }
    }

    /// A write or sync has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// The number of the next commit: all that those before it took in was applied before this call.
    pub(crate) fn next_commit(&self) -> CommitNumber {
        CommitNumber(self.next_commit.load(Ordering::SeqCst))
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
    }

    /// A checkpoint has made all commits before this one superfluous.
    pub(crate) fn release(&self, before: CommitNumber) {
        self.needed_from.fetch_max(before.0, Ordering::SeqCst);
        self.asks.lock().checkpoint_done = true;
        self.signal.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.asks.lock().stop = true;
        self.signal.notify_one();
    }

    pub(crate) fn status(&self) -> CommitStatus {
        let costs = *self.costs.lock();
        CommitStatus {
            commits: self.next_commit.load(Ordering::Relaxed) - 1,
            journal_bytes: self.journal_bytes.load(Ordering::Relaxed),
            durations: costs.micros,
            sizes: costs.octets,
            waiters: costs.waiters,
            failed: self.has_failed(),
        }
    }

    /// Waits until there is something to do; closes the epoch. `None`: the broker stops, and everything has been taken in.
    fn next(&self, gather: Duration) -> Turn {
        let mut asks = self.asks.lock();
        loop {
            let due = asks.dirty_since.map(|since| since + gather);
            let now = Instant::now();
            if asks.wanted || asks.stop || asks.checkpoint_done || due.is_some_and(|due| due <= now) {
                break;
            }
            match due {
                Some(due) => drop(self.signal.wait_for(&mut asks, due - now)),
                None => self.signal.wait(&mut asks),
            }
        }
        self.dirty.store(false, Ordering::SeqCst);
        let epoch = Epoch(self.open.fetch_add(1, Ordering::SeqCst));
        let (waiters, others) = (std::mem::take(&mut asks.waiters), std::mem::take(&mut asks.others));
        (asks.wanted, asks.dirty_since, asks.checkpoint_done) = (false, None, false);
        asks.pressing = false;
        Turn {
            epoch,
            waiters,
            others,
            stop: asks.stop,
        }
    }
}

struct Turn {
    epoch: Epoch,
    waiters: Vec<Arc<Outlet>>,
    others: Vec<oneshot::Sender<()>>,
    stop: bool,
}

/// The commit thread. Ends when [`Commits::stop`] was called and everything is durable, or at the first failure.
pub(crate) fn run(broker: &Arc<Broker>, journal: Journal) -> Journal {
    let journal = commit_all(broker, journal);
    broker.commits.has_ended();
    journal
}

fn commit_all(broker: &Arc<Broker>, mut journal: Journal) -> Journal {
    let commits = &broker.commits;
    let store = &broker.config.store;
    loop {
        let turn = commits.next(store.gather);
        let released = CommitNumber(commits.needed_from.load(Ordering::SeqCst));
        let begun = Instant::now();
        match commit(broker, &mut journal) {
            // Nothing had changed.
            Ok(0) => {}
            Ok(octets) => commits.note_cost(begun.elapsed(), octets, turn.waiters.len()),
            Err(error) => {
                fail(broker, &turn.waiters, &error);
                return journal;
            }
        }
        commits.is_durable(turn.epoch);
        journal.release(released);
        for outlet in &turn.waiters {
            outlet.durable(turn.epoch);
        }
        for other in turn.others {
            // Who has stopped waiting does not want to know.
            other.send(()).ok();
        }
        let live = journal.live_bytes();
        commits.journal_bytes.store(live, Ordering::Relaxed);
        if live > store.checkpoint_bytes {
            broker.pager.want_checkpoint();
        }
        if turn.stop {
            return journal;
        }
        wait_for_room(broker, &mut journal);
    }
}

/// Gathers everything that changed, and makes it durable. Gives the octets that this took.
fn commit(broker: &Arc<Broker>, journal: &mut Journal) -> Result<u64, CommitError> {
    let buffer = journal.buffer();
    let forgotten = broker.bodies.begin_commit();
    // No transaction is applied in part while the shards are asked.
    let whole = broker.commits.gate.write();
    let mut full = Vec::new();
    for cell in &broker.shards {
        cell.look(broker, |running| {
            running.shard.collect(&mut LogWriter::new(buffer));
            if running.shard.is_full() {
                full.push(cell);
            }
        });
    }
    drop(whole);
    broker.bodies.collect(&mut LogWriter::new(buffer));
    // The topology comes last: the queues of all messages above are in it or in an earlier commit.
    let (changes, dropped) = broker.topology.write().take_unwritten();
    for change in &changes {
        LogWriter::new(buffer).push(LogRecord::Topology {
            key: &change.key,
            value: change.value.as_deref(),
        });
    }
    let octets = journal.pending_bytes();
    if octets > 0 {
        let number = journal.commit()?;
        broker.pager.write_topology(&changes)?;
        broker.commits.next_commit.store(number.0 + 1, Ordering::SeqCst);
    }
    // What the journal has now may leave the memory; whoever would bring the shard's next batch may be waiting for just that.
    for cell in full {
        cell.run_soon(broker);
    }
    // Only now: what is not durably gone may come back, and must find its messages and bodies then.
    for queue in dropped {
        broker.pager.drop_queue(queue);
    }
    broker.pager.forget_bodies(forgotten);
    Ok(octets as u64)
}

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
enum CommitError {
    #[error(transparent)]
    Journal(#[from] WriteError),
    #[error(transparent)]
    Table(#[from] TableError),
}

/// While the journal is at its limit, commits wait for the checkpoint, and with them whoever waits for a confirm.
fn wait_for_room(broker: &Broker, journal: &mut Journal) {
    let commits = &broker.commits;
    while journal.live_bytes() > broker.config.store.journal_bytes_max {
        broker.pager.want_checkpoint();
        let mut asks = commits.asks.lock();
        while !asks.checkpoint_done && !asks.stop && !asks.pressing {
            commits.signal.wait(&mut asks);
        }
        if asks.stop || asks.pressing {
            return;
        }
        asks.checkpoint_done = false;
        drop(asks);
        journal.release(CommitNumber(commits.needed_from.load(Ordering::SeqCst)));
    }
}

/// Nothing is ever confirmed again. Whoever waits for an answer is told so and closed, because there will be none; who waits for confirms alone is blocked,
/// as who publishes is, and what it has not had confirmed stays so.
fn fail(broker: &Broker, waiters: &[Arc<Outlet>], error: &CommitError) {
    broker.store_failed(error);
    // Those too who came while this commit was under way: nobody else will tell them.
    let late = {
        let mut asks = broker.commits.asks.lock();
        asks.others.clear();
        std::mem::take(&mut asks.waiters)
    };
    for outlet in waiters.iter().chain(&late) {
        if outlet.lock().is_holding() {
            outlet.close_with(ReplyCode::InternalError, format!("the store failed: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use stoa_core::ids::ConnectionId;

    use super::*;
    use crate::transport::Sink;

    fn commits() -> Commits {
        Commits::new(CommitNumber::FIRST)
    }

    #[test]
    fn no_commit_asks_the_shards_while_a_transaction_is_applied() {
        let commits = commits();
        let (first, second) = (commits.transaction(), commits.transaction());
        assert!(commits.gate.try_write().is_none());
        drop(first);
        assert!(commits.gate.try_write().is_none(), "each of them counts");
        drop(second);
        assert!(commits.gate.try_write().is_some());
    }

    #[test]
    fn the_tables_wait_for_the_commit_of_a_transaction_and_for_no_other() {
        let commits = commits();
        assert!(commits.await_transactions(), "there is none");
        let taken_in = commits.open_epoch();
        drop(commits.transaction());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| commits.await_transactions());
            // It asks for the commit itself: nobody else does.
            let turn = commits.next(Duration::from_secs(3600));
            assert_eq!(turn.epoch, taken_in);
            assert!(!waiting.is_finished());
            commits.is_durable(turn.epoch);
            assert!(waiting.join().is_ok_and(|durable| durable));
        });
        commits.has_ended();
        assert!(commits.await_transactions(), "what is durable stays so");
        drop(commits.transaction());
        assert!(!commits.await_transactions(), "this one never will be");
    }

    #[test]
    fn who_wants_a_commit_of_a_failed_store_never_gets_one() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        let _entered = runtime.enter();
        let (socket, _peer) = tokio::net::UnixStream::pair().expect("a pair of sockets");
        let outlet = Arc::new(Outlet::new(ConnectionId(1), Sink::Unix(socket.into_split().1), None));
        let commits = commits();
        let mut state = outlet.lock();
        assert_eq!(commits.register_once(&outlet, &mut state), commits.open_epoch());
        assert!(state.close.is_none());
        let turn = commits.next(Duration::ZERO);
        assert_eq!(turn.waiters.len(), 1);
        commits.fail();
        assert_eq!(commits.register_once(&outlet, &mut state), Epoch::NEVER);
        assert!(state.close.is_none(), "who waits for a confirm is blocked, not closed");
        assert!(commits.asks.lock().waiters.is_empty());
    }

    #[test]
    fn a_transaction_that_comes_behind_the_end_of_an_epoch_belongs_to_the_next() {
        let commits = commits();
        commits.note_dirty();
        let turn = commits.next(Duration::ZERO);
        drop(commits.transaction());
        commits.is_durable(turn.epoch);
        assert!(commits.transactions.load(Ordering::SeqCst) > turn.epoch.0);
    }
}
