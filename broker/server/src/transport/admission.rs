//! How many connections there may be. A socket is counted from accept to its end: first among those in the handshake, then among the open ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The two counts.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    handshaking: AtomicUsize,
    open: AtomicUsize,
}

/// A socket's place in the counts; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    admission: Arc<Admission>,
    open: bool,
}

/// Counts one more, unless there are so many.
fn take_one(count: &AtomicUsize, max: usize) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1))
        .is_ok()
}

impl Admission {
    /// A place among those in the handshake. None: there are as many as may be.
    pub(crate) fn enter(self: &Arc<Self>, handshakes_max: usize) -> Option<Seat> {
        take_one(&self.handshaking, handshakes_max).then(|| Seat {
            admission: self.clone(),
            open: false,
        })
    }
}

impl Seat {
    /// Moves to the open connections. False: there are as many as may be.
    pub(crate) fn open(&mut self, connections_max: usize) -> bool {
        if !self.open && take_one(&self.admission.open, connections_max) {
            self.admission.handshaking.fetch_sub(1, Ordering::Relaxed);
            self.open = true;
        }
        self.open
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let count = if self.open {
            &self.admission.open
        } else {
            &self.admission.handshaking
        };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let admission = Arc::new(Admission::default());
        let mut first = admission.enter(2).unwrap();
        let mut second = admission.enter(2).unwrap();
        assert!(admission.enter(2).is_none());
        assert!(first.open(1) && first.open(1));
        assert!(!second.open(1));
        let third = admission.enter(2).unwrap();
        drop((first, third));
        assert!(second.open(1));
        drop(second);
        let left = (
            admission.handshaking.load(Ordering::Relaxed),
            admission.open.load(Ordering::Relaxed),
        );
        assert_eq!(left, (0, 0));
    }
}
