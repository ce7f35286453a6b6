//! The load under which the broker is killed: publishers with confirms, and consumers that acknowledge and know which acks are durable.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use stoa_client::{ConsumerOptions, Message, ProducerOptions};
use tokio::task::JoinSet;

use crate::support::lapin::*;
use crate::support::{Broker, within};

/// A message of the test: who published it, and the how-manieth of that publisher it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    pub publisher: u32,
    pub number: u64,
}

/// A body as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    pub id: Id,
    /// Every octet is as it was published.
    pub is_whole: bool,
}

/// What a publisher or a consumer saw until its connection broke.
#[derive(Debug)]
pub enum Witness {
    /// What was published to a queue, and whether it was confirmed.
    Published { queue: String, attempts: Vec<(Id, bool)> },
    /// What was delivered; what was acknowledged, in order; and how many of these acks were followed by a confirmed publish.
    Consumed {
        delivered: Vec<Id>,
        acked: Vec<Id>,
        durably_acked: usize,
    },
}

/// Publishers and queues of one sort.
#[derive(Clone, Copy, Debug)]
struct Lane {
    name: &'static str,
    publishers: u32,
    consumers: u32,
    /// Messages that a publisher has under way.
    window: usize,
    body_max: usize,
}

/// `marks` takes what consumers publish to learn that their acks are durable; like `backlog`, nobody consumes it.
const LANES: [Lane; 5] = [
    Lane {
        name: "small",
        publishers: 2,
        consumers: 2,
        window: 100,
        body_max: 200,
    },
    Lane {
        name: "single",
        publishers: 1,
        consumers: 1,
        window: 1,
        body_max: 2000,
    },
    Lane {
        name: "large",
        publishers: 1,
        consumers: 1,
        window: 10,
        body_max: 100_000,
    },
    Lane {
        name: "backlog",
        publishers: 1,
        consumers: 0,
        window: 20,
        body_max: 500,
    },
    Lane {
        name: "marks",
        publishers: 0,
        consumers: 0,
        window: 0,
        body_max: 0,
    },
];
const MARKS: &str = "marks";

/// So many messages a publisher publishes in a round at most: what a consumer leaves has to be looked at after each crash.
const ATTEMPTS_MAX: usize = 3000;
/// Acks between two marks.
const MARK_EVERY: usize = 50;

/// The queues, all bound to one exchange, and the numbers of what is published to them.
pub struct Load {
    name: String,
    next_publisher: AtomicU32,
}

/// A load that runs until its connections break.
pub struct Running(JoinSet<Vec<Witness>>);

impl Load {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            next_publisher: AtomicU32::new(0),
        }
    }

    fn queue(&self, lane: &str) -> String {
        format!("{}-{lane}", self.name)
    }

    pub fn queues(&self) -> Vec<String> {
        LANES.iter().map(|lane| self.queue(lane.name)).collect()
    }

    /// Declares exchange, queues and bindings: once, they are durable.
    pub async fn declare(&self, connection: &Connection) {
        let channel = channel_on(connection).await;
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        channel
            .exchange_declare(self.name.as_str().into(), ExchangeKind::Direct, durable, FieldTable::default())
            .await
            .unwrap();
        for lane in LANES {
            let queue = declare(
                &channel,
                &self.queue(lane.name),
                QueueDeclareOptions {
                    durable: true,
                    ..Default::default()
                },
            )
            .await;
            bind(&channel, &queue, &self.name, lane.name).await;
        }
    }

    /// Starts all publishers and consumers; each has a connection of its own when this returns.
    pub async fn start(&self, broker: &Broker) -> Running {
        let mut tasks = JoinSet::new();
        for lane in LANES {
            let queue = self.queue(lane.name);
            for _ in 0..lane.consumers {
                tasks.spawn(consumer(open(broker).await, queue.clone(), self.marks(), self.publisher()));
            }
            for _ in 0..lane.publishers {
                let connection = within("the connection", stoa_client::Connection::open(&broker.uri()))
                    .await
                    .unwrap();
                tasks.spawn(publisher(connection, queue.clone(), self.name.clone(), lane, self.publisher()));
            }
        }
        Running(tasks)
    }

    fn marks(&self) -> Marks {
        Marks {
            exchange: self.name.clone(),
            queue: self.queue(MARKS),
        }
    }

    /// A publisher's number, never used before.
    fn publisher(&self) -> u32 {
        self.next_publisher.fetch_add(1, Ordering::Relaxed)
    }
}

impl Running {
    /// Waits until all have found out that the broker is gone.
    pub async fn ended(mut self) -> Vec<Witness> {
        let mut witnesses = Vec::new();
        while let Some(ended) = within("the end of a client whose broker was killed", self.0.join_next()).await {
            witnesses.extend(ended.unwrap());
        }
        witnesses
    }
}

async fn open(broker: &Broker) -> stoa_client::Connection {
    within("the connection", stoa_client::Connection::open(&broker.uri()))
        .await
        .unwrap()
}

async fn publisher(connection: stoa_client::Connection, queue: String, exchange: String, lane: Lane, publisher: u32) -> Vec<Witness> {
    let mut attempts = Vec::new();
    let window = lane.window;
    if let Ok(mut producer) = connection.producer_with(ProducerOptions { window }).await {
        while attempts.len() < ATTEMPTS_MAX {
            let ids: Vec<_> = (0..2 * window)
                .map(|at| Id {
                    publisher,
                    number: (attempts.len() + at) as u64,
                })
                .collect();
            let messages: Vec<_> = ids
                .iter()
                .map(|id| Message::new(&exchange, lane.name, id.body(lane.body_max)))
                .collect();
            let outcome = producer.publish_batch(&messages).await;
            let failed: Vec<usize> = outcome
                .as_ref()
                .err()
                .map(|error| error.failures.iter().map(|(place, _)| *place).collect())
                .unwrap_or_default();
            attempts.extend(ids.into_iter().enumerate().map(|(place, id)| (id, !failed.contains(&place))));
            if outcome.is_err() {
                break;
            }
        }
    }
    vec![Witness::Published { queue, attempts }]
}

/// Acks, and from time to time publishes a mark on the same connection, whose frames the broker takes in their order.
async fn consumer(connection: stoa_client::Connection, queue: String, marks: Marks, publisher: u32) -> Vec<Witness> {
    let (mut delivered, mut acked, mut durably_acked, mut marked) = (Vec::new(), Vec::new(), 0, Vec::new());
    let mut last_of_publisher = HashMap::new();
    let options = ConsumerOptions {
        prefetch: 100,
        ..Default::default()
    };
    if let (Ok(mut consumer), Ok(mut producer)) = (connection.consumer(&queue, options).await, connection.producer().await) {
        while let Some(Ok(delivery)) = consumer.next().await {
            let Body { id, is_whole } = Body::read(delivery.body());
            assert!(is_whole, "{id:?} was delivered damaged");
            if !delivery.is_redelivered() {
                let before = last_of_publisher.insert(id.publisher, id.number);
                assert!(
                    before.is_none_or(|before| before < id.number),
                    "{id:?} was first delivered after {before:?}"
                );
            }
            delivered.push(id);
            acked.push(id);
            if delivery.ack().await.is_err() {
                break;
            }
            if acked.len().is_multiple_of(MARK_EVERY) {
                let mark = Id {
                    publisher,
                    number: acked.len() as u64,
                };
                let confirmed = producer.publish(&Message::new(&marks.exchange, MARKS, mark.body(0))).await.is_ok();
                marked.push((mark, confirmed));
                if !confirmed {
                    break;
                }
                durably_acked = acked.len();
            }
        }
    }
    vec![
        Witness::Consumed {
            delivered,
            acked,
            durably_acked,
        },
        Witness::Published {
            queue: marks.queue,
            attempts: marked,
        },
    ]
}

/// Where consumers publish to learn that what they did before is durable.
struct Marks {
    exchange: String,
    queue: String,
}

impl Id {
    /// The id, and octets that follow from it, between none and `more_max` of them.
    fn body(self, more_max: usize) -> Vec<u8> {
        let mut body = self.publisher.to_be_bytes().to_vec();
        body.extend(self.number.to_be_bytes());
        let mix = (self.number ^ u64::from(self.publisher) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let more = if more_max == 0 { 0 } else { (mix >> 32) as usize % more_max };
        body.extend((more as u32).to_be_bytes());
        body.extend((0..more).map(|at| filler(mix, at)));
        body
    }
}

fn filler(mix: u64, at: usize) -> u8 {
    (mix >> (at % 8 * 8)) as u8 ^ (at >> 3) as u8
}

impl Body {
    pub fn read(data: &[u8]) -> Self {
        let publisher = u32::from_be_bytes(data[..4].try_into().unwrap());
        let number = u64::from_be_bytes(data[4..12].try_into().unwrap());
        let more = u32::from_be_bytes(data[12..16].try_into().unwrap()) as usize;
        let mix = (number ^ u64::from(publisher) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let is_whole = data.len() == 16 + more && data[16..].iter().enumerate().all(|(at, octet)| *octet == filler(mix, at));
        Self {
            id: Id { publisher, number },
            is_whole,
        }
    }
}
