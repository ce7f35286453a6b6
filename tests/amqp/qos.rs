//! `basic.qos` with `global`: one limit for all consumers of a channel, beside the one that each of them has.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use crate::support::lapin::*;
use crate::support::{Broker, eventually, within};

async fn limit(channel: &Channel, count: u16) {
    let options = BasicQosOptions { global: true };
    within("basic.qos-ok", channel.basic_qos(count, options)).await.unwrap();
}

async fn filled(channel: &Channel, count: usize) -> String {
    let queue = queue(channel, "limited").await;
    for number in 0..count {
        publish(channel, &queue, number.to_string()).await;
    }
    queue
}

/// Waits until so many messages are ready in all of the queues together.
async fn until_ready_in(connection: &Connection, queues: &[&String], messages: u32) {
    eventually("the messages that are not delivered", async || {
        let mut sum = 0;
        for queue in queues {
            sum += counts(connection, queue).await?.0;
        }
        (sum == messages).then_some(())
    })
    .await;
}

#[tokio::test]
async fn consumers_of_several_queues_share_the_limit_of_their_channel() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let publisher = channel_on(&connection).await;
    let (a, b, c) = (
        filled(&publisher, 10).await,
        filled(&publisher, 10).await,
        filled(&publisher, 10).await,
    );
    let channel = channel_on(&connection).await;
    limit(&channel, 4).await;
    let mut consumers = Vec::new();
    for queue in [&a, &b, &c] {
        consumers.push(consume(&channel, queue, BasicConsumeOptions::default()).await);
    }
    until_ready_in(&connection, &[&a, &b, &c], 26).await;
    let mut all = futures_util::stream::select_all(consumers);
    let mut held = Vec::new();
    for left in (0..26).rev() {
        held.push(within("a delivery", all.next()).await.unwrap().unwrap());
        if held.len() == 4 {
            assert!(all.next().now_or_never().is_none(), "a fifth message came");
            held.remove(left % 4).ack(ACK).await.unwrap();
        }
    }
    for _ in 0..4 {
        if let Some(delivery) = held.pop() {
            delivery.ack(ACK).await.unwrap();
        }
        held.push(within("a delivery", all.next()).await.unwrap().unwrap());
    }
    until_ready_in(&connection, &[&a, &b, &c], 0).await;
}

#[tokio::test]
async fn both_limits_hold_at_once() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = filled(&channel, 20).await;
    prefetch(&channel, 3).await;
    limit(&channel, 5).await;
    let mut first = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    until_ready(&connection, &queue, 17).await;
    let mut second = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    until_ready(&connection, &queue, 15).await;
    bodies(&mut first, 3).await;
    let held = next(&mut second).await;
    next(&mut second).await;
    held.ack(ACK).await.unwrap();
    next(&mut second).await;
    until_ready(&connection, &queue, 14).await;
    assert!(first.next().now_or_never().is_none() && second.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_limit_changes_for_consumers_that_are_there() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let publisher = channel_on(&connection).await;
    let queue = queue(&channel, "limited").await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    publish(&publisher, &queue, "before").await;
    next(&mut consumer).await;
    limit(&channel, 3).await;
    for number in 0..9 {
        publish(&publisher, &queue, number.to_string()).await;
    }
    until_ready(&connection, &queue, 7).await;
    limit(&channel, 5).await;
    until_ready(&connection, &queue, 5).await;
    limit(&channel, 2).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next(&mut consumer).await);
    }
    held[1].ack(BasicAckOptions { multiple: true }).await.unwrap();
    sync(&channel).await;
    assert_eq!(counts(&connection, &queue).await, Some((5, 1)), "it holds as many as it may");
    held[2].ack(ACK).await.unwrap();
    until_ready(&connection, &queue, 4).await;
    limit(&channel, 0).await;
    until_ready(&connection, &queue, 0).await;
}

#[tokio::test]
async fn what_is_got_or_not_to_be_acknowledged_does_not_count() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = filled(&channel, 6).await;
    let other = filled(&channel, 5).await;
    limit(&channel, 2).await;
    for _ in 0..3 {
        get(&channel, &queue, BasicGetOptions { no_ack: false }).await.unwrap();
    }
    let free = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let mut consumer = consume(&channel, &other, free).await;
    bodies(&mut consumer, 5).await;
    let _consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    until_ready(&connection, &queue, 1).await;
    assert_eq!(counts(&connection, &queue).await, Some((1, 1)));
    // basic.recover gives back what consumers hold, and what was got.
    within("basic.recover-ok", channel.basic_recover(BasicRecoverOptions { requeue: true }))
        .await
        .unwrap();
    until_ready(&connection, &queue, 4).await;
}

#[tokio::test]
async fn what_is_not_to_be_acknowledged_waits_while_the_channel_holds_its_limit() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let (queue, other) = (filled(&channel, 1).await, filled(&channel, 3).await);
    limit(&channel, 1).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let held = next(&mut consumer).await;
    let free = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let mut waiting = consume(&channel, &other, free).await;
    sync(&channel).await;
    assert_eq!(counts(&connection, &other).await, Some((3, 1)));
    held.ack(ACK).await.unwrap();
    bodies(&mut waiting, 3).await;
}

#[tokio::test]
async fn no_queue_waits_for_ever_and_none_has_it_all() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    limit(&channel, 1).await;
    let publisher = channel_on(&connection).await;
    let (queues, each) = (6, 40);
    let mut consumers = Vec::new();
    let mut names = Vec::new();
    for _ in 0..queues {
        let queue = filled(&publisher, each).await;
        consumers.push(consume(&channel, &queue, BasicConsumeOptions::default()).await);
        names.push(queue);
    }
    let mut all = futures_util::stream::select_all(consumers);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for n in 0..queues * each {
        let delivery = within("a delivery", all.next()).await.unwrap().unwrap();
        *seen.entry(delivery.routing_key.to_string()).or_default() += 1;
        delivery.ack(ACK).await.unwrap();
        if n + 1 == queues * each / 2 {
            assert!(seen.len() == queues, "after half of the messages some queue had no turn: {seen:?}");
        }
    }
    assert!(names.iter().all(|name| seen[name] == each));
}

/// Acks of one task, deliveries from several shards and publishes beside them: whatever meets whatever, nothing stays behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nothing_stays_behind_while_messages_come_and_credit_goes() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    limit(&channel, 3).await;
    let (queues, each) = (5, 300);
    let mut consumers = Vec::new();
    let mut publishers = Vec::new();
    for _ in 0..queues {
        let own = connect(&broker).await;
        let publisher = channel_on(&own).await;
        let queue = queue(&publisher, "limited").await;
        for _ in 0..2 {
            consumers.push(consume(&channel, &queue, BasicConsumeOptions::default()).await);
        }
        publishers.push(tokio::spawn(async move {
            for number in 0..each {
                publish(&publisher, &queue, number.to_string()).await;
                if number % 50 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            drop(own);
        }));
    }
    let mut all = futures_util::stream::select_all(consumers);
    let mut held = Vec::new();
    for n in 0..queues * each {
        held.push(within("a delivery", all.next()).await.unwrap().unwrap());
        if held.len() == 3 || n % 7 == 0 {
            held.swap_remove(n % held.len()).ack(ACK).await.unwrap();
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
