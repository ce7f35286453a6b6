//! Message groups: what has the same value of a header goes to one consumer at a time, in order.

use std::collections::BTreeMap;

use super::*;
use crate::support::Broker;

async fn grouped(channel: &Channel) -> String {
    queue_with(channel, [("x-group-by", string("order"))]).await
}

#[tokio::test]
async fn a_group_is_one_consumers_until_it_has_settled_all_of_it() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = grouped(&channel).await;
    let (one, two) = (channel_on(&connection).await, channel_on(&connection).await);
    prefetch(&one, 1).await;
    prefetch(&two, 1).await;
    let mut first = consume(&one, &queue, BasicConsumeOptions::default()).await;
    assert!(publish_headed(&channel, &queue, "a1", "order", string("a")).await);
    let held = next(&mut first).await;
    let mut second = consume(&two, &queue, BasicConsumeOptions::default()).await;
    for body in ["a2", "b1", "a3"] {
        assert!(publish_headed(&channel, &queue, body, "order", string(&body[..1])).await);
    }
    let other = next(&mut second).await;
    assert_eq!((text(&held), text(&other)), ("a1".into(), "b1".into()));
    other.ack(ACK).await.unwrap();
    sync(&two).await;
    assert_eq!(counts(&connection, &queue).await, Some((2, 2)), "a2 and a3 wait for who holds a1");
    held.ack(ACK).await.unwrap();
    // Nobody holds it any more: whoever is next goes on with it.
    assert_eq!(text(&next(&mut second).await), "a2");
}

#[tokio::test]
async fn what_a_lost_consumer_held_comes_before_the_rest_of_its_group() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = grouped(&channel).await;
    let lost = connect(&broker).await;
    let lost_channel = channel_on(&lost).await;
    prefetch(&lost_channel, 2).await;
    let mut consumer = consume(&lost_channel, &queue, BasicConsumeOptions::default()).await;
    for body in ["1", "2", "3", "4"] {
        assert!(publish_headed(&channel, &queue, body, "order", string("a")).await);
    }
    assert_eq!(bodies(&mut consumer, 2).await, ["1", "2"]);
    lost.close(200, "OK".into()).await.unwrap();
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    assert_eq!(bodies(&mut consumer, 4).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn each_group_stays_in_order_whoever_takes_it() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = grouped(&channel).await;
    const GROUPS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
    for round in 0..20 {
        for group in GROUPS {
            assert!(publish_headed(&channel, &queue, &format!("{group} {round}"), "order", string(group)).await);
        }
    }
    broker.kill();
    broker.restart();
    let connection = connect(&broker).await;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let channel = channel_on(&connection).await;
        prefetch(&channel, 4).await;
        consumers.push(consume(&channel, &queue, BasicConsumeOptions::default()).await);
    }
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for mut consumer in consumers {
        let sender = sender.clone();
        tokio::spawn(async move {
            use futures_util::StreamExt;
            while let Some(Ok(delivery)) = consumer.next().await {
                // Known before it is settled, so before anybody can have the next one of the group.
                if sender.send(text(&delivery)).is_err() {
                    return;
                }
                delivery.ack(ACK).await.unwrap();
            }
        });
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..20 * GROUPS.len() {
        let body = within("a delivery", receiver.recv()).await.unwrap();
        let (group, round) = body.split_once(' ').unwrap();
        let expected = seen.entry(group.to_owned()).or_default();
        assert_eq!(round, expected.to_string(), "of group {group}");
        *expected += 1;
    }
}
