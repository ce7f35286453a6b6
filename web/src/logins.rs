//! How many logins failed and succeeded, and who has to wait because too many failed.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use std::collections::HashMap;
use stoa_server::ManagementConfig;

/// Addresses and users that are remembered for their failures. When there are more, the oldest are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Logins over HTTP.
#[derive(Debug)]
pub(crate) struct Logins {
    failures_max: u32,
    window: Duration,
    recent: Mutex<HashMap<(IpAddr, String), Failures>>,
    failed: AtomicU64,
    succeeded: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

/// How many logins there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) failed: u64,
    pub(crate) succeeded: u64,
}

impl Logins {
    pub(crate) fn new(config: &ManagementConfig) -> Self {
        Self {
            failures_max: config.login_failures_max,
            window: config.login_window,
            recent: Mutex::default(),
            failed: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
        }
    }

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

    /// Whether so many logins of this user from there have failed that no more are tried.
    pub(crate) fn is_blocked(&self, from: IpAddr, user: &str) -> bool {
        let recent = self.recent.lock();
        let failures = recent.get(&(from, user.to_owned()));
        failures.is_some_and(|failures| failures.count >= self.failures_max && failures.since.elapsed() < self.window)
    }

    /// A login was tried.
    pub(crate) fn note(&self, from: IpAddr, user: &str, is_right: bool) {
        if is_right {
            self.succeeded.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut recent = self.recent.lock();
        if recent.len() >= REMEMBERED_MAX {
            recent.retain(|_, failures| failures.since.elapsed() < self.window);
        }
        if recent.len() >= REMEMBERED_MAX
            && let Some(oldest) = recent.iter().min_by_key(|(_, failures)| failures.since).map(|(key, _)| key.clone())
        {
            recent.remove(&oldest);
        }
        let new = Failures {
            count: 0,
            since: Instant::now(),
        };
        let failures = recent.entry((from, user.to_owned())).or_insert(new);
        if failures.since.elapsed() >= self.window {
            *failures = new;
        }
        failures.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_too_many_failures_nobody_is_asked() {
        let config = ManagementConfig {
            login_failures_max: 2,
            ..ManagementConfig::default()
        };
        let logins = Logins::new(&config);
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        logins.note(here, "a", false);
        logins.note(here, "a", true);
        assert!(!logins.is_blocked(here, "a"));
        logins.note(here, "a", false);
        assert!(logins.is_blocked(here, "a"));
        assert!(!logins.is_blocked(there, "a") && !logins.is_blocked(here, "b"));
        assert_eq!(logins.attempts(), Attempts { failed: 2, succeeded: 1 });
        let short = Logins::new(&ManagementConfig {
            login_window: Duration::ZERO,
            ..config
        });
        (0..3).for_each(|_| short.note(here, "a", false));
        assert!(!short.is_blocked(here, "a"), "the window is over");
    }
}
