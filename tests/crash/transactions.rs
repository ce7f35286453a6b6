//! kill -9 while transactions move messages between two queues: every message is in exactly one of them afterwards, never in none and never
//! in both, whatever the crash cut short.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::message::{Body, Id};
use crate::support::lapin::*;
use crate::support::{self, Broker, unique};

const ROUNDS: usize = 20;
const MESSAGES: u64 = 3000;
/// Some bodies lie apart, most do not; all of them together are more than the broker keeps in memory.
const BODY_MAX: usize = 7000;
/// Messages that a transaction moves at most.
const MOVED_MAX: usize = 12;

/// `STOA_TEST_CRASHES` as for the other test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_whole_after_kill_9() {
    let crashes = std::env::var("STOA_TEST_CRASHES").map_or(ROUNDS, |crashes| crashes.parse().unwrap());
    let mut random = StdRng::seed_from_u64(support::seed());
    let Some(mut broker) = Broker::own_with(&["--memory", "16"]) else {
        return;
    };
    // declared one after the other, they belong to different shards
    let queues = [unique("moved"), unique("moved")];
    fill(&broker, &queues).await;
    let moved = Arc::new(AtomicUsize::new(0));
    for round in 0..crashes {
        let mut movers = JoinSet::new();
        for number in 0..4 {
            let (from, to) = (queues[number % 2].clone(), queues[(number + 1) % 2].clone());
            let seed = random.random();
            let (uri, moved) = (broker.uri(), moved.clone());
            movers.spawn(async move { move_messages(&uri, &from, &to, seed, &moved).await });
        }
        // A crash comes at any time: this is the moment, not something that is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..700))).await;
        if random.random_ratio(1, 3) {
            // while the broker takes its last checkpoint
            broker.process().ask_to_stop();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
        }
        broker.kill();
        // Not every call of the client notices that its broker is gone.
        movers.abort_all();
        while let Some(ended) = movers.join_next().await {
            assert!(
                ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()),
                "a client has panicked"
            );
        }
        broker.restart();
        verify(&broker, &queues, round).await;
    }
    let (status, said) = broker.process().terminate();
    assert!(status.success(), "{status} after SIGTERM: {said}");
    broker.restart();
    verify(&broker, &queues, crashes).await;
    let moved = moved.load(Ordering::Relaxed);
    println!("{moved} messages were moved by transactions that were answered");
    assert!(
        moved > 20 * crashes,
        "{moved} messages were moved by {crashes} rounds, which is too few to say anything"
    );
}

async fn fill(broker: &Broker, queues: &[String; 2]) {
    let connection = connect(broker).await;
    let channel = channel_on(&connection).await;
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    for queue in queues {
        declare(&channel, queue, durable).await;
    }
    channel.tx_select().await.unwrap();
    for number in 0..MESSAGES {
        let body = Id { publisher: 0, number }.body(BODY_MAX);
        publish_with(&channel, "", &queues[number as usize % 2], body, persistent()).await;
    }
    channel.tx_commit().await.unwrap();
    connection.close(200, "OK".into()).await.unwrap();
}

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

/// Moves messages until the broker is gone; counts those that it moved by transactions that were answered. Every failure is the end of the broker.
async fn move_messages(uri: &str, from: &str, to: &str, seed: u64, moved: &AtomicUsize) -> Result<(), lapin::Error> {
    let mut random = StdRng::seed_from_u64(seed);
    let connection = lapin::Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.tx_select().await?;
    channel.basic_qos(40, BasicQosOptions::default()).await?;
    let mut consumer = channel
        .basic_consume(from.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    loop {
        let mut tags = Vec::new();
        for _ in 0..random.random_range(1..=MOVED_MAX) {
            let Some(message) = consumer.next().await else { return Ok(()) };
            let message = message?;
            let body = Body::read(&message.data);
            assert!(body.is_whole, "{:?} is damaged", body.id);
            channel
                .basic_publish("".into(), to.into(), BasicPublishOptions::default(), &message.data, persistent())
                .await?;
            message.ack(ACK).await?;
            tags.push(message.delivery_tag);
        }
        let changes_its_mind = random.random_ratio(1, 8);
        if changes_its_mind {
            channel.tx_rollback().await?;
            for tag in &tags {
                channel.basic_nack(*tag, REQUEUE).await?;
            }
        }
        channel.tx_commit().await?;
        moved.fetch_add(if changes_its_mind { 0 } else { tags.len() }, Ordering::Relaxed);
    }
}

/// Looks at every message of both queues, and gives them all back.
async fn verify(broker: &Broker, queues: &[String; 2], round: usize) {
    let connection = connect(broker).await;
    let mut places = HashMap::new();
    for queue in queues {
        let channel = channel_on(&connection).await;
        let (ready, _) = counts(&connection, queue).await.unwrap();
        let mut consumer = consume(&channel, queue, BasicConsumeOptions::default()).await;
        for _ in 0..ready {
            let message = next(&mut consumer).await;
            let Body { id, is_whole } = Body::read(&message.data);
            assert!(is_whole, "round {round}: {id:?} in {queue} is damaged");
            if let Some(other) = places.insert(id.number, queue) {
                panic!("round {round}: {id:?} is in {queue} and in {other}");
            }
        }
        channel.close(200, "OK".into()).await.unwrap();
        until_ready(&connection, queue, ready).await;
    }
    let missing: Vec<_> = (0..MESSAGES).filter(|number| !places.contains_key(number)).collect();
    assert!(missing.is_empty(), "round {round}: in neither queue: {missing:?}");
    connection.close(200, "OK".into()).await.unwrap();
}
