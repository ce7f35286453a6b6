//! Rates of publishing: per user, virtual host and queue, so many messages and octets of bodies a second (token buckets that hold what a second brings).
//! Who has used its rate up is not read until there is some again; nothing is dropped or refused.
//!
//! A message is taken in whole and paid for then: the debt says how long the next one waits. A connection that no rate concerns pays one comparison a batch.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use stoa_core::ids::QueueId;
use stoa_core::settings::Settings;
use stoa_core::topology::{LimitOf, LimitSet, MAX_PUBLISH_BYTES_RATE, MAX_PUBLISH_RATE, Topology};
use tokio::time::Instant;

/// Whose rate it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Vhost(String),
    User(String),
    Queue(QueueId),
}

/// What may be published in a second; absent: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rate {
    messages: Option<u64>,
    octets: Option<u64>,
}

impl Rate {
    fn of_limits(limits: Option<&LimitSet>) -> Self {
        let limit = |name| limits.and_then(|limits| limits.get(name));
        Self {
            messages: limit(MAX_PUBLISH_RATE),
            octets: limit(MAX_PUBLISH_BYTES_RATE),
        }
    }

    fn of_queue(settings: &Settings) -> Self {
        Self {
            messages: settings.publish_rate,
            octets: settings.publish_bytes_rate,
        }
    }

    fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// What is left of a rate, shared by all who use it.
#[derive(Debug)]
pub(crate) struct Bucket(Mutex<Levels>);

#[derive(Debug)]
struct Levels {
    rate: Rate,
    messages: Level,
    octets: Level,
}

/// What may be taken; below zero it is a debt.
#[derive(Clone, Copy, Debug)]
struct Level {
    left: f64,
    at: Instant,
}

impl Level {
    fn full(rate: Option<u64>, at: Instant) -> Self {
        Self {
            left: capacity(rate.unwrap_or(0)),
            at,
        }
    }

    fn fill(&mut self, rate: u64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate as f64).min(capacity(rate));
        self.at = now;
    }

    /// How long until there is something left.
    fn wait(&mut self, rate: Option<u64>, now: Instant) -> Duration {
        let Some(rate) = rate else { return Duration::ZERO };
        self.fill(rate, now);
        if rate == 0 {
            return WAIT_MAX;
        }
        if self.left > 0.0 {
            return Duration::ZERO;
        }
        // A little more than nothing.
        Duration::try_from_secs_f64((1e-6 - self.left) / rate as f64).map_or(WAIT_MAX, |wait| wait.clamp(WAIT_MIN, WAIT_MAX))
    }
}

/// What a bucket holds: the rate of a second, or of a tenth where that is many, so that a flood comes evenly.
fn capacity(rate: u64) -> f64 {
    if rate > 100 { (rate as f64 / 10.0).max(100.0) } else { rate as f64 }
}

/// Who has nothing left waits, however high the rate.
const WAIT_MIN: Duration = Duration::from_nanos(1);

/// After that long it is looked again what the rate is: somebody may have changed it.
const WAIT_MAX: Duration = Duration::from_secs(1);

impl Bucket {
    fn new(rate: Rate) -> Self {
        let now = Instant::now();
        Self(Mutex::new(Levels {
            rate,
            messages: Level::full(rate.messages, now),
            octets: Level::full(rate.octets, now),
        }))
    }

    fn set(&self, rate: Rate) {
        let mut levels = self.0.lock();
        if levels.rate != rate {
            let now = Instant::now();
            // What has been used up stays so.
            if levels.rate.messages.is_none() {
                levels.messages = Level::full(rate.messages, now);
            }
            if levels.rate.octets.is_none() {
                levels.octets = Level::full(rate.octets, now);
            }
            levels.rate = rate;
        }
    }

    /// Pays for a message.
    pub(crate) fn pay(&self, octets: u64) {
        let mut levels = self.0.lock();
        levels.messages.left -= 1.0;
        levels.octets.left -= octets as f64;
    }

    /// How long until the next message may be taken.
    fn wait(&self, now: Instant) -> Duration {
        let mut levels = self.0.lock();
        let Levels { rate, messages, octets } = &mut *levels;
        messages.wait(rate.messages, now).max(octets.wait(rate.octets, now))
    }
}

/// The buckets of all who have a rate.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    by_owner: HashMap<Owner, Arc<Bucket>>,
    /// At this number those that nobody uses any more are thrown out, if they are full.
    sweep_at: usize,
}

impl Rates {
    fn of(&self, owner: Owner, rate: Rate) -> Option<Arc<Bucket>> {
        if rate.is_none() {
            return None;
        }
        let mut buckets = self.0.lock();
        if let Some(bucket) = buckets.by_owner.get(&owner) {
            bucket.set(rate);
            return Some(bucket.clone());
        }
        if buckets.by_owner.len() >= buckets.sweep_at {
            let now = Instant::now();
            buckets
                .by_owner
                .retain(|_, bucket| Arc::strong_count(bucket) > 1 || bucket.wait(now) > Duration::ZERO);
            buckets.sweep_at = 2 * buckets.by_owner.len().max(32);
        }
        let bucket = Arc::new(Bucket::new(rate));
        buckets.by_owner.insert(owner, bucket.clone());
        Some(bucket)
    }

    /// The buckets of a connection's virtual host and user, as far as they have a rate.
    pub(crate) fn of_connection(&self, topology: &Topology, vhost: &str, user: &str) -> Vec<Arc<Bucket>> {
        let of_vhost = Rate::of_limits(topology.limits(LimitOf::Vhost, vhost));
        let of_user = Rate::of_limits(topology.limits(LimitOf::User, user));
        if of_vhost.is_none() && of_user.is_none() {
            return Vec::new();
        }
        let buckets = [
            self.of(Owner::Vhost(vhost.to_owned()), of_vhost),
            self.of(Owner::User(user.to_owned()), of_user),
        ];
        buckets.into_iter().flatten().collect()
    }

    /// The bucket of a queue, if it has a rate.
    pub(crate) fn of_queue(&self, queue: QueueId, settings: &Settings) -> Option<Arc<Bucket>> {
        let rate = Rate::of_queue(settings);
        // Most have none, and this is asked for each new route.
        if rate.is_none() { None } else { self.of(Owner::Queue(queue), rate) }
    }
}

/// What a connection publishes from.
#[derive(Debug, Default)]
pub(crate) struct Paying {
    /// Of which version of the topology the buckets of virtual host and user are.
    pub(crate) version: u64,
    /// Those of its virtual host and user: every message is paid for.
    own: Vec<Arc<Bucket>>,
    /// Those of queues that it has published to lately: the next message waits for them, wherever it goes.
    of_queues: Vec<Arc<Bucket>>,
}

impl Paying {
    /// The topology has changed, and the rates may have.
    pub(crate) fn renew(&mut self, own: Vec<Arc<Bucket>>, version: u64) {
        self.own = own;
        self.version = version;
        self.of_queues.clear();
    }

    /// Whether a message may have to wait.
    pub(crate) fn is_any(&self) -> bool {
        !self.own.is_empty() || !self.of_queues.is_empty()
    }

    /// Pays for a message of this size to these queues.
    pub(crate) fn pay(&mut self, octets: u64, of_queues: &[Arc<Bucket>]) {
        for bucket in self.own.iter().chain(of_queues) {
            bucket.pay(octets);
        }
        for bucket in of_queues {
            if !self.of_queues.iter().any(|known| Arc::ptr_eq(known, bucket)) {
                self.of_queues.push(bucket.clone());
            }
        }
    }

    /// Until when the next message has to wait, if it has to.
    pub(crate) fn wait(&mut self) -> Option<Instant> {
        let now = Instant::now();
        // A queue that has room again concerns those only who publish to it.
        self.of_queues.retain(|bucket| bucket.wait(now) > Duration::ZERO);
        let waits = self.own.iter().chain(&self.of_queues).map(|bucket| bucket.wait(now));
        waits.max().filter(|wait| *wait > Duration::ZERO).map(|wait| now + wait)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use stoa_amqp::Value;

    use super::*;

    fn levels(rate: u64) -> (Level, Instant) {
        let now = Instant::now();
        (Level::full(Some(rate), now), now)
    }

    #[test]
    fn a_bucket_lets_its_rate_through_and_no_more() {
        for (rate, size, expected) in [
            (10, 1.0, 10),
            (100, 1.0, 100),
            (1000, 1.0, 1000),
            (5, 2.5, 2),
            (1_000_000, 1000.0, 1000),
        ] {
            let (mut level, start) = levels(rate);
            level.left = 0.0;
            let (mut now, mut taken) = (start, 0);
            while now < start + Duration::from_secs(10) {
                match level.wait(Some(rate), now) {
                    Duration::ZERO => {
                        level.left -= size;
                        taken += 1;
                    }
                    wait => now += wait,
                }
            }
            let per_second = f64::from(taken) / 10.0;
            assert!(
                (per_second - f64::from(expected)).abs() <= 0.2 * f64::from(expected).max(1.0),
                "{rate}: {per_second}"
            );
        }
    }

    #[test]
    fn what_was_not_used_is_kept_for_a_short_time_only() {
        for (rate, burst) in [(1, 1), (50, 50), (200, 100), (5000, 500)] {
            let (mut level, start) = levels(rate);
            let later = start + Duration::from_secs(100);
            let mut taken = 0;
            while level.wait(Some(rate), later) == Duration::ZERO {
                level.left -= 1.0;
                taken += 1;
            }
            assert_eq!(taken, burst, "{rate}");
        }
        let (mut level, now) = levels(0);
        assert_eq!((level.wait(Some(0), now), level.wait(None, now)), (WAIT_MAX, Duration::ZERO));
        level.left = -1e12;
        assert_eq!(level.wait(Some(1), now), WAIT_MAX, "however large the debt");
    }

    #[test]
    fn all_who_have_a_rate_share_its_bucket() {
        let (rates, mut topology) = (Rates::default(), Topology::new());
        assert!(rates.of_connection(&topology, "/", "guest").is_empty());
        for (of, owner, name, rate) in [
            (LimitOf::Vhost, "/", MAX_PUBLISH_RATE, 2),
            (LimitOf::User, "guest", MAX_PUBLISH_BYTES_RATE, 100),
        ] {
            topology.set_limit(of, owner, name, &Value::from(rate), &mut Vec::new()).unwrap();
        }
        let paying = || Paying {
            own: rates.of_connection(&topology, "/", "guest"),
            ..Paying::default()
        };
        let (mut one, mut other) = (paying(), paying());
        assert!(one.is_any() && one.own.len() == 2 && one.wait().is_none());
        one.pay(200, &[]);
        assert!(one.wait().is_some() && other.wait().is_some(), "its octets are used up");
        let settings = Settings {
            publish_rate: Some(1),
            ..Settings::default()
        };
        let bucket = rates.of_queue(QueueId(7), &settings).unwrap();
        assert!(rates.of_queue(QueueId(8), &Settings::default()).is_none());
        let mut third = Paying::default();
        assert!(!third.is_any());
        third.pay(0, std::slice::from_ref(&bucket));
        third.pay(0, &[bucket]);
        assert!(third.is_any() && third.wait().is_some() && third.of_queues.len() == 1);
    }
}
