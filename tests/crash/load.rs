//! The load under which the broker is killed: publishers with confirms, and consumers that acknowledge and know which acks are durable.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use stoa_client::{ConsumerOptions, Message, ProducerOptions};
use tokio::task::JoinSet;

use crate::message::{Body, Id};
use crate::support::lapin::*;
use crate::support::{Broker, within};

/// A queue, and who uses it.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    name: &'static str,
    /// What it is bound with, and what its publishers publish with.
    key: &'static str,
    publishers: u32,
    consumers: u32,
    /// Messages that a publisher has under way.
    window: usize,
    body_max: usize,
}

impl Lane {
    const fn new(name: &'static str, key: &'static str, publishers: u32, consumers: u32, window: usize, body_max: usize) -> Self {
        Self {
            name,
            key,
            publishers,
            consumers,
            window,
            body_max,
        }
    }
}

/// What is published to `large` goes to `copy` too. `marks` takes what consumers publish to learn that their acks are durable; like `backlog`,
/// nobody consumes it.
pub const LANES: [Lane; 6] = [
    Lane::new("small", "small", 2, 2, 100, 200),
    Lane::new("single", "single", 1, 1, 1, 2_000),
    Lane::new("large", "large", 1, 1, 10, 60_000),
    Lane::new("copy", "large", 0, 1, 0, 0),
    Lane::new("backlog", "backlog", 1, 0, 20, 3_000),
    Lane::new("marks", MARKS, 0, 0, 0, 0),
];
const MARKS: &str = "marks";

/// So many messages a publisher publishes in a round at most: what a consumer leaves has to be looked at after each crash.
const ATTEMPTS_MAX: usize = 3000;
/// Acks between two marks.
const MARK_EVERY: usize = 50;

/// What a publisher or a consumer saw until its connection broke.
#[derive(Debug)]
pub enum Witness {
    /// What was published, and whether it was confirmed. It goes to every queue that is bound with the key.
    Published { key: &'static str, attempts: Vec<(Id, bool)> },
    /// What a queue delivered; what was acknowledged, in order; and how many of these acks were followed by a confirmed publish.
    Consumed {
        lane: usize,
        delivered: Vec<Id>,
        acked: Vec<Id>,
        durably_acked: usize,
    },
}

/// The numbers of the queues that are bound with a key.
pub fn lanes_of(key: &str) -> impl Iterator<Item = usize> {
    LANES
        .iter()
        .enumerate()
        .filter(move |(_, lane)| lane.key == key)
        .map(|(number, _)| number)
}

/// The queues, all bound to one exchange, and the numbers of those who publish there.
pub struct Load {
    exchange: String,
    next_publisher: AtomicU32,
}

/// A load that runs until its connections break.
pub struct Running(JoinSet<Vec<Witness>>);

impl Load {
    pub fn new(exchange: &str) -> Self {
        Self {
            exchange: exchange.to_owned(),
            next_publisher: AtomicU32::new(0),
        }
    }

    pub fn queue(&self, lane: &Lane) -> String {
        format!("{}-{}", self.exchange, lane.name)
    }

    /// Declares exchange, queues and bindings: once, they are durable.
    pub async fn declare(&self, connection: &Connection) {
        let channel = channel_on(connection).await;
        let exchange = self.exchange.as_str();
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let declared = channel.exchange_declare(exchange.into(), ExchangeKind::Direct, durable, FieldTable::default());
        within("exchange.declare-ok", declared).await.unwrap();
        for lane in &LANES {
            let durable = QueueDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let queue = declare(&channel, &self.queue(lane), durable).await;
            bind(&channel, &queue, exchange, lane.key).await;
        }
    }

    /// Starts all publishers and consumers; each has a connection of its own when this returns.
    pub async fn start(&self, broker: &Broker) -> Running {
        let mut tasks = JoinSet::new();
        for (number, lane) in LANES.iter().enumerate() {
            for _ in 0..lane.consumers {
                tasks.spawn(consumer(self.client(broker).await, number, self.queue(lane)));
            }
            for _ in 0..lane.publishers {
                tasks.spawn(publisher(self.client(broker).await, lane));
            }
        }
        Running(tasks)
    }

    async fn client(&self, broker: &Broker) -> Client {
        let connection = within("the connection", stoa_client::Connection::open(&broker.uri()))
            .await
            .unwrap();
        let publisher = self.next_publisher.fetch_add(1, Ordering::Relaxed);
        Client {
            connection,
            exchange: self.exchange.clone(),
            publisher,
        }
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

/// What a publisher or consumer has to work with.
struct Client {
    connection: stoa_client::Connection,
    exchange: String,
    /// Its number as a publisher, which nobody had before.
    publisher: u32,
}

async fn publisher(client: Client, lane: &'static Lane) -> Vec<Witness> {
    let Client {
        connection,
        exchange,
        publisher,
    } = client;
    let mut attempts = Vec::new();
    let window = lane.window;
    if let Ok(mut producer) = connection.producer_with(ProducerOptions { window }).await {
        while attempts.len() < ATTEMPTS_MAX {
            let first = attempts.len() as u64;
            let ids: Vec<_> = (first..first + 2 * window as u64).map(|number| Id { publisher, number }).collect();
            let messages: Vec<_> = ids
                .iter()
                .map(|id| Message::new(&exchange, lane.key, id.body(lane.body_max)))
                .collect();
            let failures = producer
                .publish_batch(&messages)
                .await
                .err()
                .map(|error| error.failures)
                .unwrap_or_default();
            let is_confirmed = |place| failures.iter().all(|(failed, _)| *failed != place);
            attempts.extend(ids.into_iter().enumerate().map(|(place, id)| (id, is_confirmed(place))));
            if !failures.is_empty() {
                break;
            }
        }
    }
    vec![Witness::Published { key: lane.key, attempts }]
}

/// Acks, and from time to time publishes a mark on the same connection, whose frames the broker takes in their order.
async fn consumer(client: Client, lane: usize, queue: String) -> Vec<Witness> {
    let Client {
        connection,
        exchange,
        publisher,
    } = client;
    let (mut delivered, mut acked, mut durably_acked, mut marked) = (Vec::new(), Vec::new(), 0, Vec::new());
    let mut last_of_publisher = HashMap::new();
    let options = ConsumerOptions {
        prefetch: 100,
        ..Default::default()
    };
    if let (Ok(mut consumer), Ok(mut producer)) = (connection.consumer(&queue, options).await, connection.producer().await) {
        while let Some(Ok(delivery)) = consumer.next().await {
            let Body { id, is_whole } = Body::read(delivery.body());
            assert!(is_whole, "{id:?} was delivered damaged from {queue}");
            if !delivery.is_redelivered() {
                let before = last_of_publisher.insert(id.publisher, id.number);
                assert!(
                    before.is_none_or(|before| before < id.number),
                    "{id:?} was first delivered after {before:?} from {queue}"
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
                let is_confirmed = producer.publish(&Message::new(&exchange, MARKS, mark.body(0))).await.is_ok();
                marked.push((mark, is_confirmed));
                if !is_confirmed {
                    break;
                }
                durably_acked = acked.len();
            }
        }
    }
    vec![
        Witness::Consumed {
            lane,
            delivered,
            acked,
            durably_acked,
        },
        Witness::Published {
            key: MARKS,
            attempts: marked,
        },
    ]
}
