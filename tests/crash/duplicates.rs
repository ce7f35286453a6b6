//! kill -9 while publishers send messages through an exchange that routes each once. After the crash they send again what was not confirmed to them,
//! as they must: then every message is there exactly once. It would be lost if its key had outlived the crash without it, and be there twice if it had
//! without its key.

use std::collections::HashSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::message::{Body, Id};
use crate::support::lapin::*;
use crate::support::{self, Broker, unique, within};

const ROUNDS: usize = 12;
const PUBLISHERS: u32 = 3;
/// Messages that a publisher sends before it waits for their confirms.
const WINDOW: usize = 64;
/// Some bodies lie apart; all of them are more than the broker keeps in memory.
const BODY_MAX: usize = 6000;

/// What a publisher has sent, and not heard of.
struct Publisher {
    number: u32,
    next: u64,
    unsure: Vec<u64>,
}

/// `STOA_TEST_CRASHES` as for the other test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_after_kill_9_is_there_once() {
    let crashes = std::env::var("STOA_TEST_CRASHES").map_or(ROUNDS, |crashes| crashes.parse().unwrap());
    let mut random = StdRng::seed_from_u64(support::seed());
    let Some(mut broker) = Broker::own_with(&["--memory", "16"]) else {
        return;
    };
    let (exchange, queues) = (unique("once"), [unique("unique"), unique("unique")]);
    declare_all(&broker, &exchange, &queues).await;
    let mut publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| Publisher {
            number,
            next: 0,
            unsure: Vec::new(),
        })
        .collect();
    for _ in 0..crashes {
        let (is_over, over) = watch::channel(false);
        let mut running = JoinSet::new();
        for mut publisher in publishers.drain(..) {
            let (uri, exchange, mut over) = (broker.uri(), exchange.clone(), over.clone());
            running.spawn(async move {
                // Every failure is the end of the broker, and not every call of the client notices that.
                tokio::select! {
                    _ = publisher.run(&uri, &exchange, u64::MAX) => {}
                    _ = over.wait_for(|over| *over) => {}
                }
                publisher
            });
        }
        // A crash comes at any time: this is the moment, not something that is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(50..600))).await;
        broker.kill();
        is_over.send(true).unwrap();
        while let Some(ended) = within("the publishers' end", running.join_next()).await {
            publishers.push(ended.unwrap());
        }
        broker.restart();
    }
    for publisher in &mut publishers {
        publisher.run(&broker.uri(), &exchange, publisher.next).await.unwrap();
        assert!(publisher.next > 0 && publisher.unsure.is_empty());
    }
    for queue in &queues {
        verify(&broker, queue, &publishers).await;
    }
}

async fn declare_all(broker: &Broker, exchange: &str, queues: &[String; 2]) {
    let channel = channel(broker).await;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let arguments = table([("x-cache-size", AMQPValue::LongInt(1_000_000))]);
    let kind = ExchangeKind::Custom("x-message-deduplication".into());
    let declared = channel.exchange_declare(exchange.into(), kind, durable, arguments);
    within("exchange.declare-ok", declared).await.unwrap();
    for queue in queues {
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        declare(&channel, queue, options).await;
        bind(&channel, queue, exchange, "").await;
    }
}

impl Publisher {
    /// Sends again what it is unsure of, and goes on from there up to a number, until the broker is gone.
    async fn run(&mut self, uri: &str, exchange: &str, upto: u64) -> Result<(), lapin::Error> {
        let connection = lapin::Connection::connect(uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        while self.next < upto || !self.unsure.is_empty() {
            while self.unsure.len() < WINDOW && self.next < upto {
                self.unsure.push(self.next);
                self.next += 1;
            }
            let mut confirms = Vec::new();
            for &number in &self.unsure {
                let id = Id {
                    publisher: self.number,
                    number,
                };
                let key = AMQPValue::LongString(format!("{}/{number}", self.number).into());
                let properties = BasicProperties::default()
                    .with_delivery_mode(2)
                    .with_headers(table([("x-deduplication-header", key)]));
                let body = id.body(BODY_MAX);
                let options = BasicPublishOptions::default();
                confirms.push(
                    channel
                        .basic_publish(exchange.into(), "".into(), options, &body, properties)
                        .await?,
                );
            }
            for (at, confirm) in confirms.into_iter().enumerate() {
                match confirm.await {
                    Ok(confirmation) if confirmation.is_ack() => {}
                    Ok(other) => panic!("{other:?} instead of a confirm"),
                    Err(error) => {
                        self.unsure.drain(..at);
                        return Err(error);
                    }
                }
            }
            self.unsure.clear();
        }
        connection.close(200, "OK".into()).await
    }
}

/// Takes everything out of a queue.
async fn verify(broker: &Broker, queue: &str, publishers: &[Publisher]) {
    let connection = connect(broker).await;
    let channel = channel_on(&connection).await;
    let (ready, _) = counts(&connection, queue).await.unwrap();
    let no_ack = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let mut consumer = consume(&channel, queue, no_ack).await;
    let mut found = HashSet::new();
    for _ in 0..ready {
        let Body { id, is_whole } = Body::read(&next(&mut consumer).await.data);
        assert!(is_whole, "{id:?} is damaged");
        assert!(found.insert(id), "{id:?} is there twice");
    }
    for publisher in publishers {
        let all = (0..publisher.next).map(|number| Id {
            publisher: publisher.number,
            number,
        });
        let missing: Vec<_> = all.filter(|id| !found.contains(id)).collect();
        assert!(missing.is_empty(), "lost: {missing:?}");
    }
    println!("{ready} messages, each of them once");
}
