//! What exchanges that route each message once have seen: keys in memory, behind a lock of their own that only messages with such a key take.
//!
//! A key is *claimed* when its message is routed. It stays if the message gets into queues, and is given back if the message does not: then the
//! publisher hears of it, and may send it again. Keys of durable exchanges also lie as small records in a queue of the exchange's own, from which
//! this is filled when the broker starts. Such a record and its message are applied like a transaction (`commit.rs`), so that a crash leaves both or
//! none: a message is never lost as a duplicate of itself.

use std::collections::VecDeque;

use hashbrown::HashMap;
use parking_lot::Mutex;
use stoa_core::ids::{Millis, QueueId};
use stoa_core::record::{Head, Record, flags};
use stoa_core::topology::MessageKey;

/// The keys of all exchanges.
#[derive(Debug)]
pub(crate) struct SeenKeys {
    seen: Mutex<Seen>,
    /// How many there may be. At this many an exchange forgets its oldest for each new one; one that has none does not remember.
    keys_max: usize,
}

#[derive(Debug, Default)]
struct Seen {
    by_exchange: HashMap<QueueId, Keys>,
    count: usize,
}

/// The keys of one exchange.
#[derive(Debug, Default)]
struct Keys {
    known: HashMap<[u8; 16], Known>,
    /// The oldest first; those that are not known by this number any more count for nothing.
    order: VecDeque<(u64, [u8; 16])>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    number: u64,
    expires: Millis,
}

const NEVER: Millis = Millis(u64::MAX);

/// A key that a message has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) key: MessageKey,
    pub(crate) expires: Option<Millis>,
}

impl Claim {
    /// A claim that counts from now on.
    pub(crate) fn new(key: MessageKey, now: Millis) -> Self {
        let expires = key.ttl_ms.map(|ms| Millis(now.0.saturating_add(ms)));
        Self { key, expires }
    }

    /// Appends the record for the exchange's own queue.
    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        let head = Head {
            flags: flags::PERSISTENT,
            due: self.expires,
            envelope: b"\0\0",
            ..Head::default()
        };
        head.push(out, &self.key.hash);
    }
}

impl SeenKeys {
    pub(crate) fn new(keys_max: usize) -> Self {
        Self {
            seen: Mutex::default(),
            keys_max,
        }
    }

    /// Remembers a key; false if it is known.
    pub(crate) fn claim(&self, claim: &Claim, now: Millis) -> bool {
        let mut seen = self.seen.lock();
        let (size_max, has_room) = (claim.key.size_max, seen.count < self.keys_max);
        let keys = seen.by_exchange.entry(claim.key.queue).or_default();
        if keys.knows(&claim.key.hash, now) {
            return false;
        }
        let before = keys.known.len();
        keys.known.remove(&claim.key.hash);
        keys.make_room(size_max, has_room, now);
        if has_room || keys.known.len() < before {
            keys.insert(claim.key.hash, claim.expires.unwrap_or(NEVER));
        } else {
            tracing::debug!(exchange = %claim.key.queue, "limits.deduplication_keys_max is reached: a key is not remembered");
        }
        let after = keys.known.len();
        seen.count = seen.count + after - before;
        true
    }

    /// Whether a key is known.
    pub(crate) fn knows(&self, key: &MessageKey, now: Millis) -> bool {
        let seen = self.seen.lock();
        seen.by_exchange.get(&key.queue).is_some_and(|keys| keys.knows(&key.hash, now))
    }

    /// The message with these keys has not got anywhere: they were never seen.
    pub(crate) fn give_back(&self, claims: &[Claim]) {
        if claims.is_empty() {
            return;
        }
        let mut seen = self.seen.lock();
        for claim in claims {
            let keys = seen.by_exchange.get_mut(&claim.key.queue);
            let was_known = keys.is_some_and(|keys| keys.known.remove(&claim.key.hash).is_some());
            seen.count -= usize::from(was_known);
        }
    }

    /// Takes a record of an exchange's own queue, when the broker starts.
    pub(crate) fn restore(&self, queue: QueueId, record: Record<'_>) {
        let Ok(hash) = record.body().try_into() else { return };
        let mut seen = self.seen.lock();
        if seen.count < self.keys_max {
            let keys = seen.by_exchange.entry(queue).or_default();
            let is_new = !keys.known.contains_key(&hash);
            keys.insert(hash, record.due().unwrap_or(NEVER));
            seen.count += usize::from(is_new);
        }
    }

    /// The exchange is gone.
    pub(crate) fn forget(&self, queue: QueueId) {
        let mut seen = self.seen.lock();
        if let Some(keys) = seen.by_exchange.remove(&queue) {
            seen.count -= keys.known.len();
        }
    }
}

impl Keys {
    fn knows(&self, hash: &[u8; 16], now: Millis) -> bool {
        self.known.get(hash).is_some_and(|known| known.expires > now)
    }

    fn insert(&mut self, hash: [u8; 16], expires: Millis) {
        let number = self.next;
        self.next += 1;
        self.known.insert(hash, Known { number, expires });
        self.order.push_back((number, hash));
    }

    /// Forgets the oldest as long as there are too many, and what has expired or was given back in front of the others.
    fn make_room(&mut self, size_max: u64, has_room: bool, now: Millis) {
        let mut must_go = usize::from(!has_room);
        while let Some((number, hash)) = self.order.front() {
            let known = self.known.get(hash).filter(|known| known.number == *number);
            if let Some(known) = known {
                let is_over = self.known.len() as u64 >= size_max || must_go > 0;
                if !is_over && known.expires > now {
                    break;
                }
                self.known.remove(&hash.clone());
                must_go = must_go.saturating_sub(1);
            }
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.known.len() + 16 {
            self.order
                .retain(|(number, hash)| self.known.get(hash).is_some_and(|known| known.number == *number));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn claim(exchange: u64, key: u8, size_max: u64, expires: Option<u64>) -> Claim {
        Claim {
            key: MessageKey {
                queue: QueueId(exchange),
                durable: true,
                hash: [key; 16],
                ttl_ms: None,
                size_max,
            },
            expires: expires.map(Millis),
        }
    }

    fn claims(seen: &SeenKeys, exchange: u64, keys: &[u8], size_max: u64) -> Vec<bool> {
        keys.iter()
            .map(|key| seen.claim(&claim(exchange, *key, size_max, None), Millis(0)))
            .collect()
    }

    #[test]
    fn a_key_counts_once_in_its_exchange_until_it_is_given_back_or_the_exchange_goes() {
        let seen = SeenKeys::new(100);
        assert_eq!(claims(&seen, 1, &[1, 2, 1], 10), [true, true, false]);
        assert_eq!(claims(&seen, 2, &[1], 10), [true]);
        seen.give_back(&[claim(1, 1, 10, None)]);
        assert!(!seen.knows(&claim(1, 1, 10, None).key, Millis(0)));
        assert_eq!(claims(&seen, 1, &[1, 2, 1], 10), [true, false, false]);
        seen.forget(QueueId(1));
        assert_eq!(claims(&seen, 1, &[1, 2], 10), [true, true]);
        assert_eq!(seen.seen.lock().count, 3);
    }

    #[test]
    fn the_oldest_keys_make_room() {
        let seen = SeenKeys::new(100);
        assert_eq!(claims(&seen, 1, &[1, 2, 3, 4], 3), [true; 4]);
        assert_eq!(claims(&seen, 1, &[4, 3, 2], 3), [false; 3]);
        assert_eq!(claims(&seen, 1, &[1], 3), [true], "the oldest has gone");
        assert_eq!(claims(&seen, 1, &[2, 3], 3), [true, true]);
        for n in 0..10_000_u32 {
            let claim = claim(1, (n % 200) as u8, 3, None);
            seen.claim(&claim, Millis(0));
            seen.give_back(&[claim]);
        }
        let state = seen.seen.lock();
        assert!(
            state.by_exchange[&QueueId(1)].order.len() < 100,
            "what was given back leaves nothing behind"
        );
        assert!(state.count <= 3);
    }

    #[test]
    fn keys_expire() {
        let seen = SeenKeys::new(100);
        let at = |key, expires, now| seen.claim(&claim(1, key, 10, expires), Millis(now));
        assert!(at(1, Some(50), 0) && at(2, None, 0));
        assert!(!at(1, Some(90), 49) && at(1, Some(90), 50), "from its time on");
        assert!(!at(1, None, 89) && at(1, None, 90) && !at(1, None, u64::MAX - 1));
        assert_eq!(seen.seen.lock().count, 2);
    }

    #[test]
    fn at_the_brokers_limit_an_exchange_forgets_its_own_and_one_without_keys_remembers_nothing() {
        let seen = SeenKeys::new(3);
        assert_eq!(claims(&seen, 1, &[1, 2, 3, 4], 10), [true; 4]);
        assert_eq!(claims(&seen, 1, &[2, 3, 4, 1], 10), [false, false, false, true]);
        assert_eq!(claims(&seen, 2, &[9, 9], 10), [true, true]);
        assert_eq!(seen.seen.lock().count, 3);
    }

    #[test]
    fn records_bring_back_what_was_claimed() {
        let mut bytes = Vec::new();
        claim(1, 7, 10, Some(90)).push(&mut bytes);
        let record = Record::first_of(&bytes).unwrap();
        assert!(record.is_persistent());
        let seen = SeenKeys::new(100);
        seen.restore(QueueId(1), record);
        seen.restore(QueueId(1), record);
        assert!(!seen.claim(&claim(1, 7, 10, None), Millis(89)));
        assert!(seen.claim(&claim(1, 7, 10, None), Millis(90)));
        assert_eq!(seen.seen.lock().count, 1);
    }
}
