//! Tables of what is done to a shard and the effects that must come of it, one file a subject. Effects are written as short lines:
//! `1 <- 0..3` (consumer 1 gets the messages 0, 1 and 2), `1 <- 0..3 again` (redelivered), `load 0`, `store 0..3` (a value of three records),
//! `entry 0` and `head 3` (index entries), `forget 0`, `stalled 9`, `refused 1` (no credit for consumer 1). The queue is always queue 1; consumers are at the outlet of their number.

mod apart;
mod browse;
mod consumers;
mod delays;
mod delivery;
mod expiry;
mod filters;
mod groups;
mod idle;
mod journal;
mod keys;
mod latency;
mod letters;
mod limits;
mod model;
mod model_keys;
mod model_set;
mod model_spaces;
mod paging;
mod pick;
mod priorities;
mod recovery;
mod removal;
mod returns;
mod settlement;
mod spaces;
mod standings;

use std::collections::BTreeMap;
use std::sync::Arc;

use stoa_amqp::content::{CLASS_BASIC, ContentHeader, Properties};
use stoa_amqp::{ShortString, Table, Value};

use crate::ids::{BodyId, ConnectionId, ConsumerId, Millis, OutletId, QueueId, Sequence};
use crate::log::{self, LogRecord, LogWriter};
use crate::record::{self, Head, Records, flags};
use crate::settings::{DeadLetterTo, Overflow, Retry, RetryOf, Settings};
use crate::shard::stored::{self, HEAD};
use crate::shard::{
    Command, ConsumeError, Consumer, Delivery, Effects, GetOutcome, IndexEntry, Letter, QueueSpec, ReturnCause, Shard, ShardLimits, Stage,
    StoredChunk, StoredError,
};

const QUEUE: QueueId = QueueId(1);

/// What a body holds: where the message is in the order of publishing.
fn number(record: record::Record<'_>) -> u64 {
    record.body().first_chunk().map_or(u64::MAX, |octets| u64::from_le_bytes(*octets))
}

/// Dead letters go somewhere.
fn dead_letters() -> Option<DeadLetterTo> {
    Some(DeadLetterTo {
        exchange: ShortString::from("dlx"),
        routing_key: None,
        at_least_once: true,
    })
}

/// The payload of a header frame with one header; without any, if it is to have no value.
fn header_with(name: &str, value: &str) -> Vec<u8> {
    let headers: Table = [(name, Value::from(value))].into_iter().filter(|_| !value.is_empty()).collect();
    let headers = headers.encoded();
    let (mut properties, mut out) = (Vec::new(), Vec::new());
    Properties {
        headers: Some(headers.raw()),
        ..Properties::default()
    }
    .encode(&mut properties);
    ContentHeader {
        class: CLASS_BASIC,
        body_size: 8,
        properties: &properties,
    }
    .encode(&mut out);
    out
}

fn words(numbers: &[u64]) -> String {
    numbers.iter().map(|number| format!(" {number}")).collect()
}

/// Effects as lines, and what a store would hold after them.
#[derive(Default)]
struct Sink {
    lines: Vec<String>,
    /// Deliveries are written with the numbers of their messages, which are not their sequences: `1 <- 3 4`.
    by_number: bool,
    /// Dead letters that were handed out.
    letters: Vec<(Sequence, u32)>,
    /// Where the messages are that were delivered by number.
    places: BTreeMap<u64, Sequence>,
    index: BTreeMap<[u8; 16], Vec<u8>>,
    chunks: BTreeMap<Sequence, Arc<Vec<u8>>>,
    stored: Vec<(QueueId, Sequence, u16)>,
    /// What limited channels may still be lent, all together; absent: whatever they want.
    credit: Option<u32>,
}

impl Sink {
    fn say(&mut self, line: String) {
        self.lines.push(line);
    }
}

impl Effects for Sink {
    fn lend(&mut self, consumer: &Consumer, wanted: u32) -> u32 {
        let granted = self.credit.map_or(wanted, |credit| credit.min(wanted));
        self.credit = self.credit.map(|credit| credit - granted);
        if granted == 0 {
            self.say(format!("refused {}", consumer.id));
        }
        granted
    }
    fn dead(&mut self, letter: Letter<'_>) {
        let numbers: Vec<_> = letter.records.iter().map(number).collect();
        assert_eq!(numbers.len(), letter.records.count as usize);
        self.letters.push((letter.first, letter.records.count));
        self.say(format!("dead{}: {}", words(&numbers), letter.reason.name()));
    }
    fn refused(&mut self, _queue: QueueId, _settings: &Arc<Settings>, records: Records<'_>, dead_letter: bool) {
        let numbers: Vec<_> = records.iter().map(number).collect();
        assert_eq!(numbers.len(), records.count as usize);
        let dead_letter = if dead_letter { ", dead-lettered" } else { "" };
        self.say(format!("no room for{}{dead_letter}", words(&numbers)));
    }
    fn replaced(&mut self) {
        self.say("replaced".into());
    }
    fn expired(&mut self, queue: QueueId) {
        self.say(format!("expired {queue}"));
    }

    fn deliver(&mut self, delivery: Delivery<'_>) {
        let Delivery {
            consumer,
            first,
            redelivered,
            returns,
            records,
            ..
        } = delivery;
        let numbers: Vec<_> = records.iter().map(number).collect();
        if self.by_number {
            self.places.extend(numbers.iter().copied().zip((first.0..).map(Sequence)));
            let again = match (redelivered, returns) {
                (false, _) => String::new(),
                (true, 0) => " again".into(),
                (true, returns) => format!(" again after {returns}"),
            };
            return self.say(format!("{} <-{}{again}", consumer.id, words(&numbers)));
        }
        assert_eq!(
            numbers,
            (first.0..first.0 + u64::from(records.count)).collect::<Vec<_>>(),
            "the records are those of the sequences"
        );
        let again = if redelivered { " again" } else { "" };
        self.say(format!("{} <- {first}..{}{again}", consumer.id, first.0 + u64::from(records.count)));
    }
    fn load(&mut self, _queue: QueueId, chunk: Sequence) {
        self.say(format!("load {chunk}"));
    }
    fn store(&mut self, chunk: StoredChunk) {
        self.index.insert(chunk.key(), chunk.entry.encode());
        match (chunk.entry, chunk.data) {
            (IndexEntry::Head(head), _) => self.say(format!("head {}", head.next)),
            (_, None) => self.say(format!("entry {}", chunk.first)),
            (_, Some(data)) => {
                self.say(format!("store {}..{}", chunk.first, chunk.first.plus(chunk.upto.into())));
                self.chunks.insert(chunk.first, data);
                self.stored.push((chunk.queue, chunk.first, chunk.upto));
            }
        }
    }
    fn forget(&mut self, _queue: QueueId, chunk: Sequence) {
        self.index.remove(&stored::chunk_key(QUEUE, chunk));
        self.chunks.remove(&chunk);
        self.say(if chunk == HEAD {
            "forget head".into()
        } else {
            format!("forget {chunk}")
        });
    }
    fn forget_range(&mut self, _queue: QueueId, first: Sequence, last: Sequence) {
        let gone = stored::chunk_key(QUEUE, first)..=stored::chunk_key(QUEUE, last);
        self.index.retain(|key, _| !gone.contains(key));
        self.chunks.retain(|&chunk, _| chunk < first || chunk > last);
        let last = if last == HEAD { "head".into() } else { last.to_string() };
        self.say(format!("forget {first} to {last}"));
    }
    fn stalled(&mut self, outlet: OutletId) {
        self.say(format!("stalled {outlet}"));
    }
    fn unused(&mut self, queue: QueueId) {
        self.say(format!("unused {queue}"));
    }
    fn cancelled(&mut self, consumer: &Consumer, queue: QueueId) {
        self.say(format!("cancelled {} of {queue}", consumer.id));
    }
    fn released(&mut self, body: BodyId) {
        self.say(format!("released {body}"));
    }
    fn damaged(&mut self, _queue: QueueId, chunk: Sequence, error: StoredError) {
        self.say(format!("damaged {chunk}: {error}"));
    }
}

/// A shard with one queue, and short words for what is done to it.
struct Bench {
    shard: Shard,
    sink: Sink,
    /// Messages published so far.
    published: u64,
    settings: Option<Arc<Settings>>,
}

impl Bench {
    fn new(limits: ShardLimits, durable: bool) -> Self {
        Self::of(limits, durable, None)
    }

    fn of(limits: ShardLimits, durable: bool, settings: Option<Arc<Settings>>) -> Self {
        let mut shard = Shard::new(limits);
        shard.create(QueueSpec {
            id: QUEUE,
            durable,
            auto_delete: false,
            settings: settings.clone(),
        });
        Self {
            shard,
            sink: Sink::default(),
            published: 0,
            settings,
        }
    }

    /// A durable queue that is set to do something. Its messages are told by number.
    fn set(limits: ShardLimits, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let mut t = Self::new(limits, true);
        t.shard.configure(QUEUE, Some(Arc::new(settings)));
        t.settings = t.shard.queues[&QUEUE].settings.clone();
        t.sink.by_number = true;
        t
    }

    /// A durable queue, the usual limits.
    fn durable() -> Self {
        Self::new(ShardLimits::default(), true)
    }

    /// A durable queue with hardly any memory.
    fn small() -> Self {
        Self::new(
            ShardLimits {
                memory_bytes_max: 20_000,
                ..ShardLimits::default()
            },
            true,
        )
    }

    fn run(&mut self, flags: impl Fn(u64) -> u8, count: u64, size: usize) {
        let mut run = Vec::new();
        for number in self.published..self.published + count {
            let mut body = number.to_le_bytes().to_vec();
            body.resize(size.max(8), 0);
            record::push(&mut run, flags(number), 0, b"\0\x01q", b"header", &body);
        }
        self.published += count;
        let records = Records {
            bytes: &run,
            count: count as u32,
        };
        self.apply(Command::Publish { queue: QUEUE, records });
    }

    /// A message each, of these priorities.
    fn prioritized(&mut self, priorities: &[u8]) {
        let mut run = Vec::new();
        for (number, &priority) in (self.published..).zip(priorities) {
            record::push(&mut run, flags::PERSISTENT, priority, b"\0\x01q", b"header", &number.to_le_bytes());
        }
        self.published += priorities.len() as u64;
        let records = Records {
            bytes: &run,
            count: priorities.len() as u32,
        };
        self.apply(Command::Publish { queue: QUEUE, records });
    }

    /// A message each, due at these times.
    fn timed(&mut self, dues: &[Option<u64>]) {
        let mut run = Vec::new();
        for (number, due) in (self.published..).zip(dues) {
            let head = Head {
                flags: flags::PERSISTENT,
                priority: 0,
                due: due.map(Millis),
                envelope: b"\0\x01q",
                header: b"header",
            };
            head.push(&mut run, &number.to_le_bytes());
        }
        self.published += dues.len() as u64;
        let records = Records {
            bytes: &run,
            count: dues.len() as u32,
        };
        self.apply(Command::Publish { queue: QUEUE, records });
    }

    /// A message each, with these headers; those of priority 1 begin with `+`.
    fn headed(&mut self, header: &str, values: &[&str]) {
        let mut run = Vec::new();
        for (number, value) in (self.published..).zip(values) {
            let (priority, value) = match value.strip_prefix('+') {
                Some(value) => (1, value),
                None => (0, *value),
            };
            let header = header_with(header, value);
            record::push(&mut run, flags::PERSISTENT, priority, b"\0\x01q", &header, &number.to_le_bytes());
        }
        self.published += values.len() as u64;
        let records = Records {
            bytes: &run,
            count: values.len() as u32,
        };
        self.apply(Command::Publish { queue: QUEUE, records });
    }

    /// It is so late now. What is due is done, and what is delivered by that.
    fn advance(&mut self, now: u64) {
        self.shard.advance(Millis(now));
        self.dispatch();
    }

    fn next_due(&self) -> Option<u64> {
        self.shard.next_due().map(|due| due.0)
    }

    /// A consumer refuses a message that was delivered by number.
    fn reject(&mut self, number: u64) {
        let (first, count) = (self.sink.places[&number], 1);
        let (queue, consumer) = (QUEUE, Some(ConsumerId(7)));
        self.apply(Command::Reject {
            queue,
            consumer,
            first,
            count,
        });
    }

    /// A message that was delivered by number comes back.
    fn give_back(&mut self, number: u64, cause: ReturnCause) {
        let (first, count) = (self.sink.places[&number], 1);
        let (queue, consumer) = (QUEUE, Some(ConsumerId(7)));
        self.apply(Command::Requeue {
            queue,
            consumer,
            first,
            count,
            cause,
        });
    }

    /// All letters that were handed out are answered.
    fn answer(&mut self, taken: bool) {
        for (first, count) in std::mem::take(&mut self.sink.letters) {
            self.apply(Command::DeadLettered {
                queue: QUEUE,
                first,
                count,
                taken,
            });
        }
    }

    /// The store brings what was asked for, until nothing more is.
    fn load_all(&mut self) {
        loop {
            let loads = |line: &String| line.strip_prefix("load ")?.parse::<u64>().ok();
            let wanted: Vec<_> = self.sink.lines.iter().filter_map(loads).collect();
            self.sink.lines.retain(|line| !line.starts_with("load "));
            if wanted.is_empty() {
                return;
            }
            wanted.into_iter().for_each(|chunk| self.load(chunk));
            self.dispatch();
        }
    }

    fn expect_all_counts(&self, ready: u64, unacked: u64, delayed: u64, dead: u64) {
        let counts = self.shard.counts(QUEUE).expect("the queue is there");
        assert_eq!(
            (counts.ready, counts.unacked, counts.delayed, counts.dead),
            (ready, unacked, delayed, dead)
        );
    }

    /// Where a message is that was delivered by number.
    fn place(&self, number: u64) -> u64 {
        self.sink.places[&number].0
    }

    fn publish(&mut self, count: u64) {
        self.run(|_| flags::PERSISTENT, count, 8);
    }

    fn transient(&mut self, count: u64) {
        self.run(|_| 0, count, 8);
    }

    fn apply(&mut self, command: Command<'_>) {
        self.shard.apply(command, &mut self.sink);
        self.shard.invariants();
    }

    /// A consumer without peculiarities.
    fn consumer(&self) -> Consumer {
        Consumer {
            id: ConsumerId(0),
            outlet: ConnectionId(0),
            channel: 1,
            tag: ShortString::from("tag"),
            no_ack: false,
            exclusive: false,
            prefetch: 0,
            limited: false,
            priority: 0,
            timeout_ms: None,
            filter: None,
            arguments: Table::default(),
        }
    }

    fn try_consume(&mut self, id: u64, change: impl FnOnce(&mut Consumer)) -> Result<(), ConsumeError> {
        let mut consumer = Consumer {
            id: ConsumerId(id),
            outlet: ConnectionId(id),
            ..self.consumer()
        };
        change(&mut consumer);
        self.shard.consume(QUEUE, consumer)
    }

    fn consume(&mut self, id: u64, change: impl FnOnce(&mut Consumer)) {
        assert_eq!(self.try_consume(id, change), Ok(()));
    }

    fn settle(&mut self, consumer: u64, first: u64, count: u32) {
        let consumer = Some(ConsumerId(consumer));
        self.apply(Command::Settle {
            queue: QUEUE,
            consumer,
            first: Sequence(first),
            count,
        });
    }

    fn requeue(&mut self, consumer: u64, first: u64, count: u32) {
        let consumer = Some(ConsumerId(consumer));
        self.apply(Command::Requeue {
            queue: QUEUE,
            consumer,
            first: Sequence(first),
            count,
            cause: ReturnCause::GivenBack,
        });
    }

    fn dispatch(&mut self) {
        while self.shard.dispatch(&mut self.sink) {}
        self.shard.invariants();
    }

    fn resume(&mut self, outlet: u64) {
        self.apply(Command::Resume {
            outlet: ConnectionId(outlet),
        });
    }

    /// `basic.get`: the message's number, and whether it may have been delivered before.
    fn get(&mut self, no_ack: bool) -> Result<(u64, bool), GetOutcome> {
        let mut got = None;
        let outcome = self.shard.get(QUEUE, no_ack, &mut self.sink, |message| {
            got = Some((number(message.record), message.redelivered));
        });
        self.shard.invariants();
        got.ok_or(outcome)
    }

    /// What a group commit writes, as lines: `messages 0..3`, `settled 0..3`.
    fn collect(&mut self) -> Vec<String> {
        read_log(&self.collect_log())
    }

    fn collect_log(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.shard.collect(&mut LogWriter::new(&mut bytes));
        self.shard.invariants();
        bytes
    }

    fn checkpoint(&mut self) {
        self.shard.checkpoint(&mut self.sink);
        self.shard.invariants();
    }

    /// The store has done everything that it was asked to store.
    fn stored(&mut self) {
        for (queue, chunk, upto) in std::mem::take(&mut self.sink.stored) {
            self.apply(Command::Stored { queue, chunk, upto });
        }
    }

    fn load(&mut self, chunk: u64) {
        let chunk = Sequence(chunk);
        let data = self.sink.chunks.get(&chunk).map_or_else(Vec::new, |data| data.to_vec());
        self.apply(Command::Loaded { queue: QUEUE, chunk, data });
    }

    /// Another process finds what the store has, and these commits.
    fn restart(&self, commits: &[&[u8]]) -> Self {
        let mut next = Self::of(ShardLimits::default(), true, self.settings.clone());
        next.published = self.published;
        next.sink.by_number = self.sink.by_number;
        next.sink.index.clone_from(&self.sink.index);
        next.sink.chunks.clone_from(&self.sink.chunks);
        for (key, value) in &self.sink.index {
            let _ = next.shard.restore_entry(key, value).expect("a sound entry");
        }
        for record in commits.iter().flat_map(|commit| log::read(commit)) {
            next.shard.replay(record.expect("a sound commit"));
        }
        next.shard.recovered();
        next.shard.invariants();
        next
    }

    fn expect(&mut self, lines: &[&str]) {
        assert_eq!(std::mem::take(&mut self.sink.lines), lines);
    }

    /// Ready and unacked messages.
    fn expect_counts(&self, ready: u64, unacked: u64) {
        let counts = self.shard.counts(QUEUE).expect("the queue is there");
        assert_eq!((counts.ready, counts.unacked), (ready, unacked));
    }
}

fn read_log(bytes: &[u8]) -> Vec<String> {
    let line = |record| match record {
        LogRecord::Messages { first, records, .. } => {
            let numbers: Vec<_> = records.iter().map(number).collect();
            let end = first.plus(records.count.into());
            assert_eq!(numbers, (first.0..end.0).collect::<Vec<_>>());
            format!("messages {first}..{end}")
        }
        LogRecord::Settled { first, count, .. } => format!("settled {first}..{}", first.plus(count)),
        LogRecord::Stands {
            first, count, standing, ..
        } => {
            let (end, returns) = (first.plus(count), standing.returns);
            match standing.stage {
                Stage::UnderWay => format!("under way {first}..{end}: {returns}"),
                Stage::Ready => format!("returned {first}..{end}: {returns}"),
                Stage::Delayed(until) => format!("delayed {first}..{end}: {returns} until {until}"),
                Stage::Dead(reason) => format!("dead {first}..{end}: {}", reason.name()),
            }
        }
        LogRecord::Topology { .. } => "topology".into(),
        LogRecord::Body { id, .. } => format!("body {id}"),
    };
    log::read(bytes).map(|record| line(record.expect("a sound commit"))).collect()
}
