//! What happens when the letters of a parcel have arrived: the queues that they came from are told that they need not keep the messages, or that they
//! must.
//!
//! A message may go from a durable queue only when it is durable in another one. The group commit asks one shard after the other: it could see
//! that a message is gone from its queue, and have asked the shard of the other queue before the letter came. And a chunk without messages goes from
//! the tables at once. So the answer waits for a commit that began after the letters had been applied, if anything of them could be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use stoa_core::ids::{QueueId, Sequence};
use stoa_core::shard::Command;

use crate::broker::Broker;
use crate::letters::Takers;
use crate::shards::Op;

/// Letters on their way to the shards of other queues.
#[derive(Debug)]
pub(crate) struct Pending {
    /// The shard that they came from.
    pub(super) source: usize,
    /// Shards that have not applied their part yet.
    pub(super) jobs: AtomicUsize,
    pub(super) answers: Vec<Answer>,
    /// Their queues keep the messages until the letters are durable.
    pub(super) durable: bool,
    /// Letters that none of their queues was found for, by their number in the parcel.
    pub(super) unrouted: Vec<u32>,
    /// What was offered to queues that may refuse it, in the order of the letters.
    pub(super) offers: Vec<Offer>,
    /// What of that was refused, by its place in `offers`.
    pub(super) refused: Mutex<Vec<u32>>,
}

/// A letter that must arrive, and a queue that it was offered to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Its number in the parcel.
    pub(super) letter: u32,
    pub(super) to: QueueId,
}

/// Messages whose queue waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) queue: QueueId,
    pub(super) first: Sequence,
    pub(super) count: u32,
    /// The number of the first in the parcel.
    pub(super) letter: u32,
    /// They stay in their queue if they were refused.
    pub(super) at_least_once: bool,
}

impl Pending {
    /// A shard has applied its part; these offers a queue of it refused. True: it was the last.
    pub(crate) fn applied(&self, refused: &[u32]) -> bool {
        if !refused.is_empty() {
            self.refused.lock().extend_from_slice(refused);
        }
        self.jobs.fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// The answers: runs of messages that were taken, and of those that were not.
    fn ops(&self, takers: &Takers) -> Vec<Op> {
        let mut refusals = std::mem::take(&mut *self.refused.lock());
        refusals.sort_unstable();
        let letter = |offer: &u32| self.offers.get(*offer as usize).map(|offer| offer.letter);
        let mut refused: Vec<u32> = refusals.iter().filter_map(letter).collect();
        refused.dedup();
        self.remember(takers, &refused, &refusals);
        refused.extend(&self.unrouted);
        refused.sort_unstable();
        let is_taken = |letter: u32| refused.binary_search(&letter).is_err();
        let mut ops = Vec::with_capacity(self.answers.len());
        for answer in &self.answers {
            let all = answer.letter..answer.letter + answer.count;
            let mut from = all.start;
            while from < all.end {
                let taken = !answer.at_least_once || is_taken(from);
                let upto = if answer.at_least_once && !refused.is_empty() {
                    (from..all.end).find(|&letter| is_taken(letter) != taken).unwrap_or(all.end)
                } else {
                    all.end
                };
                let command = Command::DeadLettered {
                    queue: answer.queue,
                    first: answer.first.plus((from - all.start).into()),
                    count: upto - from,
                    taken,
                };
                ops.push(command.into());
                from = upto;
            }
        }
        ops
    }

    /// Notes who has taken these letters, which others have refused: `refusals` by their places.
    fn remember(&self, takers: &Takers, refused: &[u32], refusals: &[u32]) {
        for &letter in refused {
            let of = |answer: &&Answer| (answer.letter..answer.letter + answer.count).contains(&letter);
            let Some(answer) = self.answers.iter().find(of) else { continue };
            let offers = (0..).zip(&self.offers).filter(|(_, offer)| offer.letter == letter);
            let taken = offers
                .filter(|(at, _)| refusals.binary_search(at).is_err())
                .map(|(_, offer)| offer.to);
            let taken: Vec<QueueId> = taken.collect();
            if !taken.is_empty() {
                takers.remember(answer.queue, answer.first.plus((letter - answer.letter).into()), taken);
            }
        }
    }
}

impl Broker {
    /// All shards have applied their part of these letters: answers now, or when they are durable.
    pub(crate) fn letters_applied(self: &Arc<Self>, pending: Arc<Pending>) {
        if !pending.durable {
            return self.answer_letters(&pending);
        }
        let (broker, durable) = (self.clone(), self.commits.durable());
        self.next_runtime().spawn(async move {
            // If it never becomes durable, the store has failed, and the messages stay where they are.
            if durable.await.is_ok() {
                broker.answer_letters(&pending);
            }
        });
    }

    /// Tells the shard that letters came from what became of them. It acts on that on another task: this may be called where another shard
    /// has just been run.
    fn answer_letters(self: &Arc<Self>, pending: &Pending) {
        let (cell, ops) = (&self.shards[pending.source], pending.ops(&self.takers));
        if !ops.is_empty() {
            cell.leave_ops(ops);
            self.run_later(pending.source);
        }
        cell.outbox.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_stays_if_it_must_arrive() {
        let (run, sure) = (Answer::of(7, 100, 4, 0, false), Answer::of(8, 50, 5, 4, true));
        let pending = |refused: &[u32]| Pending {
            source: 0,
            jobs: AtomicUsize::new(2),
            answers: vec![run, sure],
            durable: false,
            unrouted: refused.to_vec(),
            offers: (0..9).map(|letter| Offer { letter, to: QueueId(1) }).collect(),
            refused: Mutex::default(),
        };
        let answers = |refused: &[u32], more: &[u32]| -> Vec<(u64, u64, u32, bool)> {
            let pending = pending(refused);
            assert!(!pending.applied(more));
            assert!(pending.applied(&[]));
            let answer = |op: &Op| match *op {
                Op::Plain(Command::DeadLettered {
                    queue,
                    first,
                    count,
                    taken,
                }) => (queue.0, first.0, count, taken),
                ref other => panic!("{other:?} is no answer"),
            };
            pending.ops(&Takers::new(100)).iter().map(answer).collect()
        };
        assert_eq!(answers(&[], &[]), [(7, 100, 4, true), (8, 50, 5, true)]);
        assert_eq!(answers(&[1, 2], &[]), [(7, 100, 4, true), (8, 50, 5, true)]);
        assert_eq!(
            answers(&[7], &[4, 7]),
            [
                (7, 100, 4, true),
                (8, 50, 1, false),
                (8, 51, 2, true),
                (8, 53, 1, false),
                (8, 54, 1, true)
            ]
        );
        assert_eq!(answers(&[4, 5, 6, 7, 8], &[]), [(7, 100, 4, true), (8, 50, 5, false)]);
    }

    #[test]
    fn a_letter_that_some_have_taken_is_offered_to_the_others_only() {
        let takers = Takers::new(100);
        let offers = [(4, 1), (4, 2), (5, 1), (5, 2), (6, 1), (6, 2)];
        let pending = Pending {
            source: 0,
            jobs: AtomicUsize::new(1),
            answers: vec![Answer::of(8, 50, 3, 4, true)],
            durable: false,
            unrouted: Vec::new(),
            offers: offers.map(|(letter, to)| Offer { letter, to: QueueId(to) }).to_vec(),
            refused: Mutex::default(),
        };
        // The first letter is refused by the second queue, the last one by both.
        assert!(pending.applied(&[5, 1, 4]));
        assert_eq!(pending.ops(&takers).len(), 3);
        let of = |sequence| takers.take(QueueId(8), Sequence(sequence));
        assert_eq!((of(50), of(51), of(52)), (vec![QueueId(1)], vec![], vec![]));
    }

    impl Answer {
        fn of(queue: u64, first: u64, count: u32, letter: u32, at_least_once: bool) -> Self {
            Self {
                queue: QueueId(queue),
                first: Sequence(first),
                count,
                letter,
                at_least_once,
            }
        }
    }
}
