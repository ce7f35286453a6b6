//! Looking changes nothing and sees everything.

use std::ops::ControlFlow;

use super::*;
use crate::shard::{ChunkValue, Look, Looked, MessageState};

impl Bench {
    /// What a look sees, as `number state`, with `again` for what would be redelivered and `after n` for what came back so often.
    fn look(&self, from: Option<u64>, only: Option<MessageState>, value: Option<(u64, &[u8])>, most: usize) -> (Vec<String>, Looked) {
        let mut seen = Vec::new();
        let look = Look {
            from: from.map(Sequence),
            only,
        };
        let value = value.map(|(first, octets)| ChunkValue {
            first: Sequence(first),
            octets,
        });
        let looked = self.shard.look_at(QUEUE, look, value, |message| {
            if seen.len() == most {
                return ControlFlow::Break(());
            }
            let again = if message.redelivered { " again" } else { "" };
            let after = match message.returns {
                0 => String::new(),
                returns => format!(" after {returns}"),
            };
            assert_eq!(self.shard.state_of(QUEUE, message.sequence), Some(message.state));
            let due = message.due.map_or(String::new(), |due| format!(" until {due}"));
            seen.push(format!("{} {}{again}{after}{due}", number(message.record), message.state.name()));
            ControlFlow::Continue(())
        });
        (seen, looked)
    }

    /// The same for all chunks, those in the store included.
    fn look_through(&self, only: Option<MessageState>) -> Vec<String> {
        let (mut seen, mut from, mut stored) = (Vec::new(), None, None);
        loop {
            let value = stored.map(|first| (first, &self.sink.chunks[&Sequence(first)][..]));
            let (part, looked) = self.look(from, only, value, usize::MAX);
            seen.extend(part);
            match looked {
                Looked::Upto(next) => (from, stored) = (Some(next.0), None),
                Looked::Stored { chunk } => stored = Some(chunk.0),
                Looked::All => return seen,
                Looked::Damaged { error, .. } => panic!("{error}"),
            }
        }
    }
}

#[test]
fn messages_are_seen_where_they_stand_and_stay_there() {
    let mut t = Bench::set(ShardLimits::default(), |settings| {
        settings.delivery_limit = Some(2);
        settings.dead_letter = dead_letters();
        settings.retry = Some(Retry {
            of: RetryOf::Failed,
            min_ms: 1000,
            max_ms: 1000,
            multiplier_percent: None,
        });
    });
    t.advance(1000);
    t.publish(6);
    t.consume(7, |consumer| consumer.prefetch = 5);
    t.dispatch();
    t.give_back(3, ReturnCause::Lost);
    t.reject(1);
    t.settle(7, 0, 1);
    t.shard.cancel(QUEUE, ConsumerId(7), &mut t.sink);
    t.give_back(2, ReturnCause::GivenBack);
    t.dispatch();
    t.sink.lines.clear();
    t.publish(1);
    let all = [
        "1 dead",
        "2 ready again after 1",
        "3 delayed again after 1 until 2000",
        "4 unacked again",
        "5 ready",
        "6 ready",
    ];
    let counts = t.shard.counts(QUEUE);
    for _ in 0..2 {
        assert_eq!(
            t.look(None, None, None, 100),
            (all.map(String::from).to_vec(), Looked::Upto(Sequence(7)))
        );
    }
    for (state, expected) in MessageState::ALL.into_iter().zip([&[1, 4, 5][..], &[3], &[2], &[0]]) {
        let expected: Vec<_> = expected.iter().map(|&at| all[at].to_owned()).collect();
        assert_eq!(t.look(None, Some(state), None, 100).0, expected, "{state:?}");
    }
    assert_eq!(t.look(Some(7), None, None, 100), (vec![], Looked::All));
    assert_eq!(t.look(Some(900), None, None, 100), (vec![], Looked::All));
    assert_eq!(t.shard.counts(QUEUE), counts, "nothing has changed");
    t.expect(&[]);
    for (sequence, state) in [
        (0, None),
        (1, Some(MessageState::Dead)),
        (6, Some(MessageState::Ready)),
        (7, None),
        (1 << 60, None),
    ] {
        assert_eq!(t.shard.state_of(QUEUE, Sequence(sequence)), state, "{sequence}");
    }
}

#[test]
fn a_page_ends_where_the_next_one_begins() {
    let mut t = Bench::durable();
    t.publish(5);
    let page = |from, most| {
        let (seen, looked) = t.look(from, None, None, most);
        (seen.join(", "), looked)
    };
    assert_eq!(page(None, 2), ("0 ready, 1 ready".into(), Looked::Upto(Sequence(2))));
    assert_eq!(page(Some(2), 2), ("2 ready, 3 ready".into(), Looked::Upto(Sequence(4))));
    assert_eq!(page(Some(4), 2), ("4 ready".into(), Looked::Upto(Sequence(5))));
    assert_eq!(page(Some(5), 2), (String::new(), Looked::All));
}

#[test]
fn what_is_on_disk_is_given_along_and_stays_there() {
    let mut t = Bench::small();
    t.publish(1000);
    t.collect();
    t.dispatch();
    t.stored();
    let resident = t.shard.resident_bytes();
    t.sink.lines.clear();
    assert_eq!(t.look(Some(200), None, None, 1).1, Looked::Upto(Sequence(201)));
    assert_eq!(t.look(Some(256), None, None, 1), (vec![], Looked::Stored { chunk: Sequence(256) }));
    let value = t.sink.chunks[&Sequence(256)].clone();
    assert_eq!(
        t.look(Some(300), None, Some((0, &value)), 1).1,
        Looked::Stored { chunk: Sequence(256) },
        "another chunk's value"
    );
    let (seen, looked) = t.look(Some(300), None, Some((256, &value)), 1);
    assert_eq!((seen, looked), (vec!["300 ready".to_owned()], Looked::Upto(Sequence(301))));
    for (bad, error) in [
        (Vec::new(), StoredError::Missing),
        (
            value[..20].to_vec(),
            StoredError::Size {
                expected: value.len(),
                found: 20,
            },
        ),
    ] {
        let damaged = Looked::Damaged {
            chunk: Sequence(256),
            next: Sequence(512),
            error,
        };
        assert_eq!(t.look(Some(300), None, Some((256, &bad)), 1), (vec![], damaged));
    }
    assert_eq!(t.look_through(None).len(), 1000);
    assert!(
        t.look_through(Some(MessageState::Unacked)).is_empty(),
        "what is not wanted is not read"
    );
    assert_eq!(t.shard.resident_bytes(), resident, "nothing came into memory");
    t.expect(&[]);
}

#[test]
fn higher_priorities_are_seen_first() {
    let mut t = Bench::set(ShardLimits::default(), |settings| settings.priority_max = Some(5));
    t.prioritized(&[0, 3, 1, 3, 9]);
    let expected: Vec<_> = [4, 1, 3, 2, 0].iter().map(|number| format!("{number} ready")).collect();
    assert_eq!(t.look_through(None), expected);
}

#[test]
fn what_an_exchange_holds_back_is_delayed() {
    let mut t = Bench::set(ShardLimits::default(), |settings| settings.delays = true);
    t.advance(1_000_000);
    t.timed(&[Some(1_200_000), Some(1_001_000)]);
    let mut seen = t.look_through(Some(MessageState::Delayed));
    seen.sort();
    assert_eq!(seen, ["0 delayed until 1200000", "1 delayed until 1001000"]);
    assert!(t.look_through(Some(MessageState::Ready)).is_empty());
}
