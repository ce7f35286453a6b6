//! Watermarks of disk and memory. Beyond one of them connections that publish are held back, so that the disk does not get full; all others go on. So it is
//! once the store has failed, until the broker is started again.
//!
//! One thread looks once an interval; connections read one integer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::broker::Broker;

/// What is beyond its watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raised(u8);

impl Raised {
    const MEMORY: u8 = 1;
    const DISK: u8 = 2;
    const STORE: u8 = 4;

    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }

    /// As RabbitMQ words the reason in `connection.blocked`.
    pub(crate) fn reason(self) -> &'static str {
        match self.0 {
            n if n & Self::STORE != 0 => "the store has failed",
            Self::MEMORY => "low on memory",
            Self::DISK => "low on disk",
            _ => "low on memory & disk",
        }
    }
}

/// What the thread saw last.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    raised: AtomicU8,
    disk_free: AtomicU64,
    memory_used: AtomicU64,
    thread: Mutex<Option<Thread>>,
    stopped: AtomicBool,
}

/// The state of the alarms, with the figures behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmStatus {
    /// Less than `disk_free_min` is free: connections that publish are blocked.
    pub disk: bool,
    /// More than `memory_max` is used: connections that publish are blocked.
    pub memory: bool,
    /// The store has failed: connections that publish are blocked until the broker is started again.
    pub store: bool,
    /// Octets free on the disk of the data directory; 0 if it does not say.
    pub disk_free: u64,
    /// The watermark of the disk.
    pub disk_free_min: u64,
    /// Octets of messages in memory, large bodies included.
    pub memory_used: u64,
    /// The watermark of memory.
    pub memory_max: u64,
}

impl Alarms {
    pub(crate) fn raised(&self) -> Raised {
        Raised(self.raised.load(Ordering::Relaxed))
    }

    /// The store has failed.
    pub(crate) fn raise_store(&self) {
        self.raised.fetch_or(Raised::STORE, Ordering::SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }
}

impl Broker {
    /// The state of the alarms.
    #[must_use]
    pub fn alarms(&self) -> AlarmStatus {
        let Raised(raised) = self.alarms.raised();
        let config = &self.config;
        AlarmStatus {
            disk: raised & Raised::DISK != 0,
            memory: raised & Raised::MEMORY != 0,
            store: raised & Raised::STORE != 0,
            disk_free: self.alarms.disk_free.load(Ordering::Relaxed),
            disk_free_min: config.alarms.disk_free_min(&config.limits, &config.store),
            memory_used: self.alarms.memory_used.load(Ordering::Relaxed),
            memory_max: config.alarms.memory_max(&config.limits),
        }
    }
}

/// Looks once, so that the alarms are right before anybody connects.
pub(crate) fn look(broker: &Arc<Broker>) {
    let alarms = &broker.alarms;
    let config = &broker.config;
    let memory_used = memory_used(broker);
    alarms.memory_used.store(memory_used, Ordering::Relaxed);
    let mut raised = 0;
    if memory_used > config.alarms.memory_max(&config.limits) {
        raised |= Raised::MEMORY;
    }
    match disk_free(&config.data) {
        Ok(free) => {
            alarms.disk_free.store(free, Ordering::Relaxed);
            if free < config.alarms.disk_free_min(&config.limits, &config.store) {
                raised |= Raised::DISK;
            }
        }
        // What cannot be known is taken to be as it was.
        Err(error) => {
            tracing::warn!(%error, data = %config.data.display(), "cannot tell how much of the disk is free");
            raised |= alarms.raised.load(Ordering::Relaxed) & Raised::DISK;
        }
    }
    if broker.commits.has_failed() {
        raised |= Raised::STORE;
    }
    let before = alarms.raised.swap(raised, Ordering::SeqCst);
    if broker.commits.has_failed() {
        // It may have failed in between, and been raised before the swap.
        alarms.raise_store();
    }
    if before != raised {
        tell(broker, Raised(before), Raised(raised));
    }
}

/// Those who are blocked find out from their task, which is woken.
fn tell(broker: &Broker, before: Raised, now: Raised) {
    let status = broker.alarms();
    if now.any() {
        tracing::warn!(
            disk_free = status.disk_free,
            disk_free_min = status.disk_free_min,
            memory_used = status.memory_used,
            memory_max = status.memory_max,
            "{}: connections that publish are blocked",
            now.reason()
        );
    } else {
        tracing::info!("no longer {}: publishing goes on", before.reason());
        let all: Vec<_> = broker.connections.lock().values().cloned().collect();
        for presence in all {
            presence.outlet.wake.notify_one();
        }
    }
}

fn memory_used(broker: &Arc<Broker>) -> u64 {
    let queues: u64 = broker
        .shards
        .iter()
        .map(|cell| cell.look(broker, |running| running.shard.resident_bytes()))
        .sum();
    // A queue counts the bodies of its messages, too; those that lie apart may stay longer than the messages are in memory.
    queues.max(broker.bodies.resident_bytes() as u64)
}

/// What a process without privileges may still write.
fn disk_free(data: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(data)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// While somebody may be blocked, the thread looks so often at least.
const RAISED_INTERVAL_MAX: Duration = Duration::from_millis(100);

/// The thread of the alarms, which also looks whether the files of TLS have changed. Ends when [`Alarms::stop`] was called.
pub(crate) fn run(broker: &Arc<Broker>) {
    *broker.alarms.thread.lock() = Some(std::thread::current());
    while !broker.alarms.stopped.load(Ordering::SeqCst) {
        let interval = broker.config.alarms.interval;
        let raised = broker.alarms.raised().any();
        std::thread::park_timeout(if raised { interval.min(RAISED_INTERVAL_MAX) } else { interval });
        look(broker);
        if broker.certificates.as_ref().is_some_and(|certificates| certificates.have_changed()) {
            broker.reload_certificates();
        }
    }
}
