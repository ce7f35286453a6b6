//! The time, and who runs a shard when its time has come without anybody having work for it: one thread with the next due of every shard.
//!
//! Whoever unlocks a shard says when it is due next. That is one comparison if nothing has changed, and a wake-up of the thread only if the shard
//! is due before the thread would look again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use stoa_core::ids::Millis;

use crate::broker::Broker;

/// The broker's one clock: wall-clock time that never goes back. If the machine's clock is set back, it goes on from where it was.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// What the wall clock was ahead of the time since `started`, at most.
    ahead_ms: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            ahead_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.at(SystemTime::now())
    }

    fn at(&self, wall: SystemTime) -> Millis {
        let since_start = self.started.elapsed().as_millis() as u64;
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let ahead = wall.saturating_sub(since_start);
        Millis(since_start + self.ahead_ms.fetch_max(ahead, Ordering::Relaxed).max(ahead))
    }
}

/// Milliseconds between two looks of the thread at most times, so that dues close to each other are served together.
const TICK_MS: u64 = 2;
/// No shard is due.
const NEVER: u64 = u64::MAX;

/// When every shard is due.
#[derive(Debug)]
pub(crate) struct Timers {
    pub(crate) clock: Clock,
    dues: Vec<AtomicU64>,
    /// When the thread looks next.
    looks_at: AtomicU64,
    thread: Mutex<Option<Thread>>,
    stopped: AtomicBool,
}

impl Timers {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            clock: Clock::new(),
            dues: (0..shards).map(|_| AtomicU64::new(NEVER)).collect(),
            looks_at: AtomicU64::new(NEVER),
            thread: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// The shard is due then, and no earlier. To be called while it is locked.
    pub(crate) fn set(&self, shard: usize, due: Option<Millis>) {
        let due = due.map_or(NEVER, |due| due.0);
        if self.dues[shard].load(Ordering::Relaxed) == due {
            return;
        }
        self.dues[shard].store(due, Ordering::SeqCst);
        if due < self.looks_at.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// When the thread has to look again. What is set after this wakes it if it is earlier.
    fn next_look(&self) -> u64 {
        let earliest = || self.dues.iter().map(|due| due.load(Ordering::SeqCst)).min().unwrap_or(NEVER);
        let mut next = earliest();
        loop {
            self.looks_at.store(next, Ordering::SeqCst);
            // Whoever set an earlier one before it could see this is seen here.
            let again = earliest();
            if again >= next {
                return next;
            }
            next = again;
        }
    }

    /// The shards that are due; they are not due any more until they are set again.
    fn take_due(&self, now: u64) -> impl Iterator<Item = usize> {
        (0..self.dues.len()).filter(move |&shard| {
            let due = self.dues[shard].load(Ordering::SeqCst);
            // Who sets it meanwhile has run the shard at a time when nothing earlier was left.
            due <= now
                && self.dues[shard]
                    .compare_exchange(due, NEVER, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
        })
    }
}

/// The thread of the timers. Ends when [`Timers::stop`] was called.
pub(crate) fn run(broker: &Arc<Broker>) {
    let timers = &broker.timers;
    *timers.thread.lock() = Some(std::thread::current());
    while !timers.stopped.load(Ordering::SeqCst) {
        let next = timers.next_look();
        let now = timers.clock.now().0;
        if next == NEVER {
            std::thread::park();
        } else if next > now {
            std::thread::park_timeout(Duration::from_millis((next - now).max(TICK_MS)));
        } else {
            for shard in timers.take_due(now) {
                broker.shards[shard].run_soon(broker);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_wall_forward_and_never_goes_back() {
        let clock = Clock::new();
        let wall = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let first = clock.at(wall);
        assert!((1_000_000_000..1_000_060_000).contains(&first.0), "{first}");
        let hour = Duration::from_secs(3600);
        let later = clock.at(wall + hour);
        assert!(later.0 >= first.0 + 3_600_000, "{later}");
        let back = clock.at(wall);
        assert!(back >= later && back.0 < later.0 + 60_000, "{back} after {later}");
    }

    #[test]
    fn the_thread_looks_at_the_earliest_due_and_takes_each_once() {
        let timers = Timers::new(3);
        assert_eq!(timers.next_look(), NEVER);
        timers.set(1, Some(Millis(70)));
        timers.set(2, Some(Millis(50)));
        assert_eq!(timers.next_look(), 50);
        assert_eq!(timers.take_due(49).count(), 0);
        assert_eq!(timers.take_due(60).collect::<Vec<_>>(), [2]);
        assert_eq!(timers.next_look(), 70);
        timers.set(1, None);
        assert_eq!(timers.next_look(), NEVER);
        timers.set(0, Some(Millis(5)));
        timers.set(1, Some(Millis(5)));
        assert_eq!(timers.take_due(5).collect::<Vec<_>>(), [0, 1]);
    }
}
