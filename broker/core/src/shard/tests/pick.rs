//! Single messages that are removed or claimed.

use super::*;
use crate::shard::MessageState;

impl Bench {
    fn remove(&mut self, sequences: &[u64]) -> u32 {
        let sequences: Vec<_> = sequences.iter().copied().map(Sequence).collect();
        let removed = self.shard.remove(QUEUE, &sequences, &mut self.sink);
        self.shard.invariants();
        removed
    }

    fn claim(&mut self, sequences: &[u64]) -> Vec<u64> {
        let sequences: Vec<_> = sequences.iter().copied().map(Sequence).collect();
        let claimed = self.shard.claim(QUEUE, &sequences);
        self.shard.invariants();
        claimed.into_iter().map(|sequence| sequence.0).collect()
    }

    fn release(&mut self, claimed: &[(u64, bool)]) {
        let claimed = claimed.iter().map(|&(sequence, gone)| (Sequence(sequence), gone));
        self.shard.release(QUEUE, claimed, &mut self.sink);
        self.shard.invariants();
        self.dispatch();
    }
}

#[test]
fn what_is_ready_or_delayed_is_removed_and_nothing_else() {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.dead_letter = dead_letters();
        settings.retry = Some(Retry {
            of: RetryOf::All,
            min_ms: 1000,
            max_ms: 1000,
            multiplier_percent: None,
        });
    });
    t.advance(1000);
    t.publish(6);
    for number in 0..4 {
        assert_eq!(t.get(false), Ok((number, false)));
    }
    let at = |number| Sequence(number);
    t.sink.places.extend((0..4).map(|number| (number, at(number))));
    t.reject(0);
    t.give_back(1, ReturnCause::GivenBack);
    t.give_back(2, ReturnCause::Undelivered);
    t.expect_all_counts(3, 1, 1, 1);
    t.collect();
    assert_eq!(t.remove(&[0, 1, 2, 3, 4, 4, 77, 1 << 60]), 3, "dead and unacked ones stay");
    t.expect_all_counts(1, 1, 0, 1);
    assert_eq!(t.collect(), ["settled 1..3", "settled 4..5"]);
    t.advance(5000);
    t.expect(&["dead 0: rejected"]);
    assert_eq!(t.get(true), Ok((5, false)), "the removed ones are passed over");
    assert_eq!(t.get(true), Err(GetOutcome::Empty));
}

#[test]
fn the_last_message_of_a_chunk_takes_it_away() {
    let mut t = Bench::small();
    t.publish(1000);
    t.collect();
    t.dispatch();
    t.stored();
    t.sink.lines.clear();
    let chunk: Vec<u64> = (256..512).collect();
    assert_eq!(t.remove(&chunk), 256, "without being loaded");
    t.expect(&["forget 256"]);
    t.expect_counts(744, 0);
    t.consume(1, |consumer| consumer.no_ack = true);
    t.shard.common.limits.memory_bytes_max = 1 << 20;
    t.dispatch();
    t.load_all();
    t.expect_counts(0, 0);
}

#[test]
fn a_claimed_message_is_nobodys_until_it_is_released() {
    let mut t = Bench::durable();
    t.publish(6);
    assert_eq!(t.get(false), Ok((0, false)));
    assert_eq!(t.claim(&[0, 1, 3, 3, 5, 99]), [1, 3, 5]);
    t.expect_all_counts(2, 1, 0, 3);
    assert_eq!(t.shard.state_of(QUEUE, Sequence(3)), Some(MessageState::Dead));
    assert_eq!((t.remove(&[3]), t.claim(&[3])), (0, vec![]), "it is had by one");
    assert_eq!(t.get(false), Ok((2, false)));
    assert_eq!(t.shard.purge(QUEUE, &mut t.sink), 1, "a purge leaves what is claimed");
    t.shard.invariants();
    t.expect_all_counts(0, 2, 0, 3);
    t.publish(1);
    t.release(&[(1, true), (3, false), (5, false), (5, true), (77, true)]);
    t.expect_all_counts(3, 2, 0, 0);
    assert_eq!(t.get(true), Ok((3, true)), "what lies behind it was taken meanwhile");
    assert_eq!(t.get(true), Ok((5, true)));
    assert_eq!(t.get(true), Ok((6, false)));
}

#[test]
fn a_claim_that_fails_leaves_a_message_as_it_was() {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.bytes_max = Some(1000);
        settings.counts_deliveries = true;
    });
    t.advance(1000);
    t.timed(&[Some(9000), None, Some(9000)]);
    assert_eq!(t.get(false), Ok((0, false)));
    t.sink.places.insert(0, Sequence(0));
    t.give_back(0, ReturnCause::Lost);
    assert_eq!(t.claim(&[0, 2]), [0, 2]);
    t.release(&[(0, false), (2, false)]);
    t.consume(1, |consumer| consumer.prefetch = 2);
    t.dispatch();
    t.expect(&["1 <- 0 again after 1", "1 <- 1"]);
    t.advance(9001);
    t.expect_counts(0, 2);
    assert!(t.claim(&[2]).is_empty(), "it has expired");
}

#[test]
fn a_queue_may_go_while_something_of_it_is_claimed() {
    let mut t = Bench::durable();
    t.publish(2);
    assert_eq!(t.claim(&[1]), [1]);
    assert_eq!(t.shard.delete(QUEUE, false, false, &mut t.sink), Ok(1));
    t.shard.release(QUEUE, [(Sequence(1), true)].into_iter(), &mut t.sink);
    t.shard.invariants();
}
