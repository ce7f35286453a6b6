//! Letters that must arrive (`at-least-once`) and go to several queues: which of these have taken one that others refused. It stays in its queue and is
//! offered again, to the others only.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use stoa_core::ids::{QueueId, Sequence};

/// The queues that have taken a letter.
#[derive(Debug)]
pub(crate) struct Takers {
    known: Mutex<Known>,
    /// How many such letters are remembered. When there are more, those that were remembered first are offered to all their queues again; so are all
    /// after a restart.
    letters_max: usize,
}

#[derive(Debug, Default)]
struct Known {
    /// With the number under which they are in the order.
    takers: BTreeMap<Letter, (u64, Vec<QueueId>)>,
    /// In the order in which they were remembered. Those that are not known by this number any more count for nothing.
    order: VecDeque<(u64, Letter)>,
    next: u64,
}

/// A letter's place in its own queue.
type Letter = (QueueId, Sequence);

impl Takers {
    pub(crate) fn new(letters_max: usize) -> Self {
        let known = Mutex::default();
        Self { known, letters_max }
    }

    /// Who has taken this letter before. They are not remembered any more.
    pub(super) fn take(&self, queue: QueueId, letter: Sequence) -> Vec<QueueId> {
        self.known.lock().takers.remove(&(queue, letter)).unwrap_or_default().1
    }

    /// Some have taken the letter, and it is offered again.
    pub(super) fn remember(&self, queue: QueueId, letter: Sequence, takers: Vec<QueueId>) {
        let Known {
            takers: known,
            order,
            next,
        } = &mut *self.known.lock();
        *next += 1;
        known.insert((queue, letter), (*next, takers));
        order.push_back((*next, (queue, letter)));
        while known.len() > self.letters_max
            && let Some((number, first)) = order.pop_front()
        {
            if is_known(known, (number, first)) {
                known.remove(&first);
            }
        }
        if order.len() > 2 * known.len() + 16 {
            order.retain(|&place| is_known(known, place));
        }
    }
}

/// Whether a letter is remembered under this number, and not under a later one.
fn is_known(known: &BTreeMap<Letter, (u64, Vec<QueueId>)>, (number, letter): (u64, Letter)) -> bool {
    known.get(&letter).is_some_and(|known| known.0 == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takers_are_remembered_until_the_letter_is_offered_again() {
        let takers = Takers::new(100);
        let place = |n| (QueueId(200 - n), Sequence(n));
        for n in 0..102 {
            let (queue, letter) = place(n);
            takers.remember(queue, letter, vec![QueueId(n), QueueId(7)]);
        }
        let take = |n| {
            let (queue, letter) = place(n);
            takers.take(queue, letter)
        };
        assert_eq!((take(0), take(1)), (vec![], vec![]), "the oldest are forgotten");
        assert_eq!((take(2), take(2)), (vec![QueueId(2), QueueId(7)], vec![]));
        // A letter that is offered again and again takes no more room than others.
        for n in 0..1000 {
            takers.remember(QueueId(1), Sequence(0), vec![QueueId(n)]);
        }
        assert!(takers.known.lock().order.len() <= 300);
        assert_eq!(takers.take(QueueId(1), Sequence(0)), [QueueId(999)]);
        assert_eq!(take(101), [QueueId(101), QueueId(7)]);
    }
}
