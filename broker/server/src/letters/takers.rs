//! Letters that must arrive (`at-least-once`) and go to several queues: which of these have taken one that others refused. It stays in its queue and is
//! offered again, to the others only.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use stoa_core::ids::{QueueId, Sequence};

/// How many such letters are remembered. When there are more, the oldest of them are offered to all their queues again; so are all after a restart.
const LETTERS_MAX: usize = 10_000;

/// The queues that have taken a letter, by its place in its own queue.
#[derive(Debug, Default)]
pub(crate) struct Takers(Mutex<BTreeMap<(QueueId, Sequence), Vec<QueueId>>>);

impl Takers {
    /// Who has taken this letter before. They are not remembered any more.
    pub(super) fn take(&self, queue: QueueId, letter: Sequence) -> Vec<QueueId> {
        self.0.lock().remove(&(queue, letter)).unwrap_or_default()
    }

    /// Some have taken the letter, and it is offered again.
    pub(super) fn remember(&self, queue: QueueId, letter: Sequence, takers: Vec<QueueId>) {
        let mut known = self.0.lock();
        known.insert((queue, letter), takers);
        if known.len() > LETTERS_MAX {
            known.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takers_are_remembered_until_the_letter_is_offered_again() {
        let takers = Takers::default();
        let place = |n| (QueueId(1), Sequence(n));
        for n in 0..LETTERS_MAX as u64 + 2 {
            let (queue, letter) = place(n);
            takers.remember(queue, letter, vec![QueueId(n), QueueId(7)]);
        }
        let take = |n| {
            let (queue, letter) = place(n);
            takers.take(queue, letter)
        };
        assert_eq!((take(0), take(1)), (vec![], vec![]), "the oldest are forgotten");
        assert_eq!((take(2), take(2)), (vec![QueueId(2), QueueId(7)], vec![]));
    }
}
