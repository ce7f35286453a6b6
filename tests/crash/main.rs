//! kill -9 under load, again and again on one data directory. What was promised before the crash is held against what is there after it:
//!
//! - what was confirmed and not acknowledged is there, once, whole, in its publisher's order;
//! - what was acknowledged before a publish that was confirmed is gone;
//! - what is there and was delivered before is marked redelivered;
//! - what was there after one crash, or gone after it, stays so.

#![allow(clippy::unwrap_used, unreachable_pub, clippy::print_stdout)]

mod duplicates;
mod history;
mod letters;
mod load;
mod message;
#[path = "../support/mod.rs"]
mod support;
mod transactions;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use history::History;
use load::{LANES, Load};
use message::Body;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::lapin::*;
use support::{Broker, unique, within};

/// Crashes on one data directory.
const ROUNDS: usize = 20;

/// `STOA_TEST_CRASHES=1000` makes it more crashes, on a new data directory after every 20.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_by_kill_9() {
    let crashes = std::env::var("STOA_TEST_CRASHES").map_or(ROUNDS, |crashes| crashes.parse().unwrap());
    let mut random = StdRng::seed_from_u64(support::seed());
    for _ in 0..crashes.div_ceil(ROUNDS) {
        crash_again_and_again(&mut random).await;
    }
}

async fn crash_again_and_again(random: &mut StdRng) {
    // as little memory as possible, so that what lies in the queues is paged out as well
    let Some(mut broker) = Broker::own_with(&["--memory", "16"]) else {
        return;
    };
    let load = Load::new(&unique("crash"));
    load.declare(&connect(&broker).await).await;
    let mut history = History::default();
    let start = Instant::now();
    for round in 0..ROUNDS {
        let running = load.start(&broker).await;
        // A crash comes at any time: this is the moment, not something that is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
        broker.kill();
        history.add(running.ended().await);
        if random.random_ratio(1, 4) {
            kill_while_starting(&mut broker, random).await;
        }
        broker.restart();
        println!("round {round}, {:?}: {history}", start.elapsed());
        verify(&broker, &load, &mut history).await;
    }
    let (status, said) = broker.process().terminate();
    assert!(status.success(), "{status} after SIGTERM: {said}");
    broker.restart();
    verify(&broker, &load, &mut history).await;
    history.assert_was_worth_it();
}

/// The broker is killed before it has recovered, at some point on its way.
async fn kill_while_starting(broker: &mut Broker, random: &mut StdRng) {
    let mut process = broker.start_again();
    tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
    assert!(
        process.is_running(),
        "the broker does not start on what the crash left: {}",
        process.stderr()
    );
}

/// Looks at every message of every queue, and gives them all back.
async fn verify(broker: &Broker, load: &Load, history: &mut History) {
    let connection = connect(broker).await;
    for (number, lane) in LANES.iter().enumerate() {
        let queue = load.queue(lane);
        let channel = channel_on(&connection).await;
        let (ready, consumers) = counts(&connection, &queue)
            .await
            .unwrap_or_else(|| panic!("the queue {queue} is gone"));
        assert_eq!(consumers, 0);
        let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
        let mut found = Vec::new();
        for _ in 0..ready {
            let delivery = within("a message that was counted", consumer.next()).await.unwrap().unwrap();
            found.push((Body::read(&delivery.data), delivery.redelivered));
        }
        assert_eq!(counts(&connection, &queue).await, Some((0, 1)), "more came than was counted");
        history.check(number, &queue, &found);
        channel.close(200, "OK".into()).await.unwrap();
        until_ready(&connection, &queue, ready).await;
    }
    connection.close(200, "OK".into()).await.unwrap();
}
