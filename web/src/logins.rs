//! How many logins over HTTP failed and succeeded.

use std::sync::atomic::{AtomicU64, Ordering};

/// Logins over HTTP.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    failed: AtomicU64,
    succeeded: AtomicU64,
}

/// How many logins there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) failed: u64,
    pub(crate) succeeded: u64,
}

impl Logins {
    pub(crate) fn attempts(&self) -> Attempts {
        Attempts {
            failed: self.failed.load(Ordering::Relaxed),
            succeeded: self.succeeded.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn reset(&self) {
        self.failed.store(0, Ordering::Relaxed);
        self.succeeded.store(0, Ordering::Relaxed);
    }

    /// A login was tried.
    pub(crate) fn note(&self, is_right: bool) {
        let count = if is_right { &self.succeeded } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
