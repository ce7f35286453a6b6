//! kill -9 while messages die: they expire, are rejected, and are too many for their queue. Whatever was confirmed is in the queue that dead letters
//! go to in the end, or still in its own. It may be in both, or come twice: the broker may not lose it, and cannot know what a crash let it do.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stoa_client::{ConsumerOptions, Message, ProducerOptions};
use tokio::task::JoinSet;

use crate::message::{Body, Id};
use crate::support::lapin::*;
use crate::support::{self, Broker, eventually, unique, within};

/// Crashes on one data directory.
const ROUNDS: usize = 8;
/// Messages that each publisher publishes in a round at most.
const ATTEMPTS_MAX: u64 = 3000;
const WINDOW: u64 = 50;
/// What stays in the queue that is full.
const LENGTH_MAX: i32 = 10;

struct Queues {
    /// Everything dies here after a moment, comes to the next one, and dies there again.
    expiring: String,
    through: String,
    /// Consumers reject everything.
    rejected: String,
    full: String,
    /// Where all end.
    dead: String,
}

impl Queues {
    async fn declare(connection: &Connection) -> Self {
        let name = unique("letters");
        let queues = Self {
            expiring: format!("{name}-expiring"),
            through: format!("{name}-through"),
            rejected: format!("{name}-rejected"),
            full: format!("{name}-full"),
            dead: format!("{name}-dead"),
        };
        let channel = channel_on(connection).await;
        let to = |queue: &str, more: Option<(&'static str, i32)>| {
            let to = [("x-dead-letter-exchange", string("")), ("x-dead-letter-routing-key", string(queue))];
            table(to.into_iter().chain(more.map(|(name, n)| (name, AMQPValue::LongInt(n)))))
        };
        let declare = async |queue: &str, arguments: FieldTable| {
            let durable = QueueDeclareOptions {
                durable: true,
                ..Default::default()
            };
            within("queue.declare-ok", channel.queue_declare(queue.into(), durable, arguments))
                .await
                .unwrap();
        };
        declare(&queues.dead, FieldTable::default()).await;
        declare(&queues.expiring, to(&queues.through, Some(("x-message-ttl", 20)))).await;
        declare(&queues.through, to(&queues.dead, Some(("x-message-ttl", 1)))).await;
        declare(&queues.rejected, to(&queues.dead, None)).await;
        declare(&queues.full, to(&queues.dead, Some(("x-max-length", LENGTH_MAX)))).await;
        queues
    }

    fn published_to(&self) -> [&str; 3] {
        [&self.expiring, &self.rejected, &self.full]
    }
}

async fn open(broker: &Broker) -> stoa_client::Connection {
    within("the connection", stoa_client::Connection::open(&broker.uri()))
        .await
        .unwrap()
}

/// Publishes until the broker is gone; what was confirmed.
async fn publisher(connection: stoa_client::Connection, queue: String, publisher: u32) -> Vec<Id> {
    let mut confirmed = Vec::new();
    let options = ProducerOptions { window: WINDOW as usize };
    let Ok(mut producer) = connection.producer_with(options).await else {
        return confirmed;
    };
    for first in (0..ATTEMPTS_MAX).step_by(WINDOW as usize) {
        let ids: Vec<_> = (first..first + WINDOW).map(|number| Id { publisher, number }).collect();
        // Some bodies are large enough to lie apart from their records.
        let messages: Vec<_> = ids.iter().map(|id| Message::new("", &queue, id.body(6000))).collect();
        let failures = match producer.publish_batch(&messages).await {
            Ok(()) => Vec::new(),
            Err(error) => error.failures,
        };
        let failed: HashSet<usize> = failures.into_iter().map(|(place, _)| place).collect();
        confirmed.extend(
            ids.into_iter()
                .enumerate()
                .filter(|(place, _)| !failed.contains(place))
                .map(|(_, id)| id),
        );
        if !failed.is_empty() {
            break;
        }
    }
    confirmed
}

async fn rejecter(connection: stoa_client::Connection, queue: String) {
    let options = ConsumerOptions {
        prefetch: 50,
        ..Default::default()
    };
    if let Ok(mut consumer) = connection.consumer(&queue, options).await {
        while let Some(Ok(delivery)) = consumer.next().await {
            if delivery.reject().await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_letter_is_lost_by_kill_9() {
    static PUBLISHERS: AtomicU32 = AtomicU32::new(0);
    let mut random = StdRng::seed_from_u64(support::seed());
    let Some(mut broker) = Broker::own_with(&["--memory", "16"]) else {
        return;
    };
    let queues = Queues::declare(&connect(&broker).await).await;
    let mut missing: HashSet<Id> = HashSet::new();
    let mut found: HashMap<Id, u32> = HashMap::new();
    for round in 0..ROUNDS {
        let mut rejecters = JoinSet::new();
        let mut publishers = JoinSet::new();
        rejecters.spawn(rejecter(open(&broker).await, queues.rejected.clone()));
        for queue in queues.published_to() {
            let number = PUBLISHERS.fetch_add(1, Ordering::Relaxed);
            publishers.spawn(publisher(open(&broker).await, queue.to_owned(), number));
        }
        // A crash comes at any time: this is the moment, not something that is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(200..1500))).await;
        broker.kill();
        while let Some(confirmed) = within("the end of a publisher", publishers.join_next()).await {
            missing.extend(confirmed.unwrap());
        }
        while within("the end of a consumer", rejecters.join_next()).await.is_some() {}
        broker.restart();
        let confirmed = missing.len();
        rejecters.spawn(rejecter(open(&broker).await, queues.rejected.clone()));
        let channel = channel(&broker).await;
        eventually("every message that was confirmed", async || {
            for queue in [&queues.dead, &queues.full] {
                while let Some(delivery) = take(&channel, queue).await {
                    let Body { id, is_whole } = Body::read(&delivery.data);
                    assert!(is_whole, "{id:?} is damaged");
                    missing.remove(&id);
                    *found.entry(id).or_default() += 1;
                }
            }
            missing.is_empty().then_some(())
        })
        .await;
        rejecters.abort_all();
        let twice = found.values().filter(|count| **count > 1).count();
        println!(
            "round {round}: {confirmed} confirmed, {} found in all, {twice} of them more than once",
            found.len()
        );
    }
    assert!(found.len() > 1000, "too little happened");
}
