//! Spare segments: released ones to be written over, or new ones, made by a thread ahead of time so that no commit waits for zeros.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::disk::Disk;
use super::segment::Segment;

/// The spare segments, and the thread that sees to it that there is one.
#[derive(Debug)]
pub(super) struct Preparer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    spare_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    spare: Vec<Segment>,
    /// Too many, or not of the right size.
    surplus: Vec<Segment>,
    /// What the next new one is called.
    next_id: u64,
    /// Why there is none. Tried again when one is asked for.
    failed: Option<io::Error>,
    stopped: bool,
}

impl Preparer {
    /// Begins with the spare segments that are there. `ahead`: a thread makes the next one; otherwise it is made when it is asked for.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
        spare_max: usize,
        spare: Vec<Segment>,
        next_id: u64,
        ahead: bool,
    ) -> io::Result<Self> {
        let state = State {
            next_id,
            ..State::default()
        };
        let shared = Arc::new(Shared {
            disk,
            segment_bytes,
            spare_max,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        shared.recycle(spare);
        let worker = Arc::clone(&shared);
        let start = || thread::Builder::new().name("stoa-segments".to_owned()).spawn(move || worker.run());
        let thread = ahead.then(start).transpose()?;
        Ok(Self { shared, thread })
    }

    /// A spare segment. Waits only if none is ready.
    pub(super) fn take(&self) -> io::Result<Segment> {
        let shared = &*self.shared;
        let mut state = shared.state.lock();
        state.failed = None;
        loop {
            if let Some(segment) = state.spare.pop() {
                shared.changed.notify_all();
                return Ok(segment);
            }
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            if self.thread.is_some() {
                shared.changed.notify_all();
                shared.changed.wait(&mut state);
            } else {
                shared.create(&mut state);
            }
        }
    }

    /// Takes back segments that may be written over. Those that are too many are deleted in the background.
    pub(super) fn recycle(&self, segments: impl IntoIterator<Item = Segment>) {
        self.shared.recycle(segments);
        if self.thread.is_none() {
            self.shared.remove_surplus(&mut self.shared.state.lock());
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.shared.state.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that prepares journal segments has panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.stopped {
            if !state.surplus.is_empty() {
                self.remove_surplus(&mut state);
            } else if state.spare.is_empty() && state.failed.is_none() {
                self.create(&mut state);
            } else {
                self.changed.wait(&mut state);
            }
        }
    }

    fn recycle(&self, segments: impl IntoIterator<Item = Segment>) {
        let mut state = self.state.lock();
        for segment in segments {
            if segment.file.bytes() == self.segment_bytes && state.spare.len() < self.spare_max {
                state.spare.push(segment);
            } else {
                state.surplus.push(segment);
            }
        }
        self.changed.notify_all();
    }

    /// Makes one while the lock is open; the outcome is in the state.
    fn create(&self, state: &mut MutexGuard<'_, State>) {
        let id = state.next_id;
        state.next_id += 1;
        match MutexGuard::unlocked(state, || Segment::create(&*self.disk, id, self.segment_bytes)) {
            Ok(segment) => state.spare.push(segment),
            Err(error) => state.failed = Some(error),
        }
        self.changed.notify_all();
    }

    fn remove_surplus(&self, state: &mut MutexGuard<'_, State>) {
        let surplus = std::mem::take(&mut state.surplus);
        MutexGuard::unlocked(state, || {
            for segment in surplus {
                // It is in nobody's way: what is in it is released, and the next start finds that out again.
                if let Err(error) = self.disk.remove(&segment.name) {
                    tracing::warn!(segment = %segment.path.display(), %error, "a released journal segment was not deleted");
                }
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::simulated::{Fault, SimulatedDisk};
    use super::*;

    fn preparer(disk: &SimulatedDisk, ahead: bool) -> Preparer {
        Preparer::new(Arc::new(disk.clone()), 64 << 10, 2, Vec::new(), 7, ahead).unwrap()
    }

    #[test]
    fn segments_are_made_taken_and_given_back() {
        for ahead in [false, true] {
            let disk = SimulatedDisk::new(1, 512);
            let preparer = preparer(&disk, ahead);
            let taken: Vec<Segment> = (0..5).map(|_| preparer.take().unwrap()).collect();
            let names: Vec<&str> = taken.iter().map(|segment| segment.name.as_str()).collect();
            assert_eq!(names[..2], ["00000007.segment", "00000008.segment"]);
            preparer.recycle(taken);
            drop(preparer);
            // Two are kept; a thread may have been stopped before it deleted the others, or have one more in hand.
            let left = disk.list().unwrap().len();
            assert!(if ahead { (2..=6).contains(&left) } else { left == 2 }, "{left}");
        }
    }

    #[test]
    fn a_failure_is_told_to_who_asks_and_the_next_one_may_succeed() {
        for ahead in [false, true] {
            let disk = SimulatedDisk::new(1, 512);
            disk.arm(0, Fault::Power);
            let preparer = preparer(&disk, ahead);
            for _ in 0..3 {
                preparer.take().unwrap_err();
            }
            disk.power_cycle();
            // A thread may have failed once more before the power came back.
            assert!(preparer.take().is_ok() || preparer.take().is_ok());
        }
    }
}
