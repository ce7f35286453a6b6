//! The sync policy `interval`: a thread that syncs what commits left unsynced.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::segment::Segment;
use crate::error::WriteError;

/// The thread, and what it is told.
#[derive(Debug)]
pub(super) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    interval: Duration,
    synced: Arc<AtomicU64>,
    poison: Arc<OnceLock<WriteError>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    dirty: BTreeMap<String, Segment>,
    /// The last commit that is whole in what was written so far.
    last: u64,
    stopped: bool,
}

impl Flusher {
    /// `synced` rises to what is durable; `poison` is set if a sync fails.
    pub(super) fn start(interval: Duration, synced: Arc<AtomicU64>, poison: Arc<OnceLock<WriteError>>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            interval,
            synced,
            poison,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let worker = Arc::clone(&shared);
        let thread = thread::Builder::new().name("stoa-sync".to_owned()).spawn(move || worker.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Something was written there. `last` is the last commit that is whole with it.
    pub(super) fn written(&self, segment: &Segment, last: u64) {
        let mut state = self.shared.state.lock();
        state.last = last;
        if !state.dirty.contains_key(&segment.name) {
            state.dirty.insert(segment.name.clone(), segment.clone());
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Flusher {
    /// What is unsynced is synced first.
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the journal has panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            while state.dirty.is_empty() && !state.stopped {
                self.changed.wait(&mut state);
            }
            let due = Instant::now() + self.interval;
            while !state.stopped && !self.changed.wait_until(&mut state, due).timed_out() {}
            let (dirty, last, stopped) = (std::mem::take(&mut state.dirty), state.last, state.stopped);
            drop(state);
            match dirty.values().try_for_each(Segment::sync) {
                Ok(()) if stopped => return,
                Ok(()) => {
                    self.synced.fetch_max(last, Ordering::Relaxed);
                }
                Err(error) => {
                    // The first error counts, and this one is not the first if it is set already.
                    let _ = self.poison.set(error);
                    return;
                }
            }
            state = self.state.lock();
        }
    }
}
