//! Logins that failed, over AMQP and HTTP: who fails too often has to wait.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::config::ManagementConfig;

/// Addresses and users that are remembered for their failures. When there are more, the oldest are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Failures by address and user.
#[derive(Debug)]
pub(crate) struct LoginFailures {
    most: u32,
    window: Duration,
    recent: Mutex<HashMap<(IpAddr, String), Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

impl LoginFailures {
    pub(crate) fn new(config: &ManagementConfig) -> Self {
        Self {
            most: config.login_failures_max,
            window: config.login_window,
            recent: Mutex::default(),
        }
    }

    fn has_too_many(&self, from: IpAddr, user: &str) -> bool {
        let recent = self.recent.lock();
        let failures = recent.get(&(from, user.to_owned()));
        failures.is_some_and(|failures| failures.count >= self.most && failures.since.elapsed() < self.window)
    }

    fn add(&self, from: IpAddr, user: &str) {
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

impl Broker {
    /// Whether so many logins of this user from there have failed lately, over AMQP and HTTP together, that no more are tried
    /// (`management.login_failures_max`).
    #[must_use]
    pub fn is_login_blocked(&self, from: IpAddr, user: &str) -> bool {
        self.login_failures.has_too_many(from.to_canonical(), user)
    }

    /// A login of this user from there has failed.
    pub fn note_failed_login(&self, from: IpAddr, user: &str) {
        self.login_failures.add(from.to_canonical(), user);
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
        let failures = LoginFailures::new(&config);
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        failures.add(here, "a");
        assert!(!failures.has_too_many(here, "a"));
        failures.add(here, "a");
        assert!(failures.has_too_many(here, "a"));
        assert!(!failures.has_too_many(there, "a") && !failures.has_too_many(here, "b"));
        let short = LoginFailures::new(&ManagementConfig {
            login_window: Duration::ZERO,
            ..config
        });
        (0..3).for_each(|_| short.add(here, "a"));
        assert!(!short.has_too_many(here, "a"), "the window is over");
    }
}
