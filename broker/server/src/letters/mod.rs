//! Messages that leave their queue for other queues: dead letters, and what a delayed-message exchange lets go.
//!
//! ```text
//! Effects::dead, refused -> Parcel (copied, the shard is locked) -> Outbox (of the shard, in its order)
//!    -> a task: `post.rs` makes letters of the messages, routes them, and hands the target shards their parts
//!    -> all of these have applied them, and they are durable if they must be: `answer.rs` -> Command::DeadLettered to the shard they came from
//! ```
//!
//! Nothing of this happens on the stack of a shard that is being run, so a chain of dead-letter exchanges is no recursion. How many letters of a
//! queue are under way is bounded by its shard, which hands out no more until it is answered; refused messages are in no queue, so they fill the
//! outbox, and when that is full, publishers to the shard wait.

mod answer;
mod notes;
mod post;
mod replay;
mod takers;
#[cfg(test)]
mod tests;

pub(crate) use answer::Pending;
pub(crate) use post::{Content, add_publish, push_content};
pub(crate) use takers::Takers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use stoa_core::ids::{QueueId, Sequence};
use stoa_core::record::{Record, Records};
use stoa_core::settings::Settings;
use stoa_core::shard::{Event, Letter, Reason};

use crate::bodies::Bodies;
use crate::broker::Broker;

/// Messages that left the queues of a shard during one run of it.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    runs: Vec<Run>,
    arena: Vec<u8>,
}

/// Messages that left one queue for the same reason.
#[derive(Debug)]
struct Run {
    queue: QueueId,
    errand: Errand,
    /// Where they are in their queue, which waits for an answer. Absent: they were refused, and are in no queue.
    first: Option<Sequence>,
    start: usize,
    end: usize,
    count: u32,
}

/// What messages are on their way for.
#[derive(Debug)]
enum Errand {
    /// They left the queue, which was set to do this, for that reason.
    Letter(Arc<Settings>, Reason),
    /// They are told of, and nothing else.
    Note(Event),
}

impl Parcel {
    /// Copies letters. Until they are posted, they have references of their own to bodies that lie apart.
    pub(crate) fn add(&mut self, letter: &Letter<'_>, bodies: &Bodies) {
        self.put(
            letter.queue,
            Errand::Letter(letter.settings.clone(), letter.reason),
            Some(letter.first),
            letter.records,
            bodies,
        );
    }

    /// Copies messages that a queue did not take.
    pub(crate) fn add_refused(&mut self, queue: QueueId, settings: &Arc<Settings>, records: Records<'_>, bodies: &Bodies) {
        self.put(queue, Errand::Letter(settings.clone(), Reason::MaxLength), None, records, bodies);
    }

    /// Copies tuples of a space that an exchange is told of.
    pub(crate) fn add_note(&mut self, space: QueueId, event: Event, records: Records<'_>, bodies: &Bodies) {
        self.put(space, Errand::Note(event), None, records, bodies);
    }

    fn put(&mut self, queue: QueueId, errand: Errand, first: Option<Sequence>, records: Records<'_>, bodies: &Bodies) {
        for body in records.iter().filter_map(Record::body_ref) {
            bodies.retain(body.id, 1, false);
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(records.bytes);
        self.runs.push(Run {
            queue,
            errand,
            first,
            start,
            end: self.arena.len(),
            count: records.count,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn records(&self, run: &Run) -> Records<'_> {
        Records {
            bytes: &self.arena[run.start..run.end],
            count: run.count,
        }
    }

    fn bytes(&self) -> usize {
        self.arena.len() + size_of_val(self.runs.as_slice())
    }
}

/// The parcels of a shard that wait for being posted.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    parcels: Mutex<VecDeque<Parcel>>,
    bytes: AtomicUsize,
    /// A task is posting: parcels go out one after the other, so letters keep the order in which they left.
    posting: AtomicBool,
    /// Parcels that were put here and whose messages have not been answered for.
    under_way: AtomicUsize,
}

impl Outbox {
    /// To be called while the shard is locked, so that parcels lie here in the order of its runs; [`Broker::post_letters`] must follow.
    pub(crate) fn put(&self, parcel: Parcel) {
        self.bytes.fetch_add(parcel.bytes(), Ordering::SeqCst);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        self.parcels.lock().push_back(parcel);
    }

    /// Octets that wait here.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<Parcel> {
        self.parcels.lock().pop_front()
    }

    /// All that was put here has been answered for.
    fn is_settled(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) == 0
    }
}

/// How long letters wait for shards whose memory is full. After that they go there all the same: they are bounded, and a shard might be waiting for
/// their answer before it can make room.
const PRESSURE_MAX: Duration = Duration::from_millis(500);

impl Broker {
    /// The broker stops: waits until no letters are under way, but no longer than until then. Those that still are, are messages in their old queues
    /// after the next start.
    pub(crate) fn settle_letters(self: &Arc<Self>, until: Instant) {
        while Instant::now() < until && !self.shards.iter().all(|cell| cell.outbox.is_settled()) {
            std::thread::sleep(Duration::from_millis(2));
        }
        for cell in &self.shards {
            cell.look(self, |_| ());
        }
    }

    /// Posts what lies in the outbox of a shard, on another task.
    pub(crate) fn post_letters(self: &Arc<Self>, shard: usize) {
        if !self.shards[shard].outbox.posting.swap(true, Ordering::SeqCst) {
            let broker = self.clone();
            self.next_runtime().spawn(async move { broker.post_all(shard).await });
        }
    }

    async fn post_all(self: Arc<Self>, shard: usize) {
        let cell = &self.shards[shard];
        let outbox = &cell.outbox;
        loop {
            let Some(parcel) = outbox.take() else {
                outbox.posting.store(false, Ordering::SeqCst);
                // Who put something there before this has seen that somebody is posting.
                if outbox.parcels.lock().is_empty() || outbox.posting.swap(true, Ordering::SeqCst) {
                    return;
                }
                continue;
            };
            for target in &self.shards {
                let seen = target.progress();
                if target.is_full() {
                    tokio::time::timeout(PRESSURE_MAX, target.progress_since(seen)).await.ok();
                }
            }
            self.post(shard, &parcel);
            cell.outbox_shrank(outbox.bytes.fetch_sub(parcel.bytes(), Ordering::SeqCst));
            tokio::task::yield_now().await;
        }
    }
}
