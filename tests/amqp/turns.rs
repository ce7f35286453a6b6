//! Whose turn it is: consumer priorities, and the single active consumer.

use futures_util::{FutureExt, StreamExt};

use crate::support::lapin::*;
use crate::support::{Broker, unique, within};

async fn consume_with_priority(channel: &Channel, queue: &str, priority: i32) -> Consumer {
    let arguments = table([("x-priority", AMQPValue::LongInt(priority))]);
    let consumer = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), arguments);
    within("basic.consume-ok", consumer).await.unwrap()
}

async fn single_active_queue(channel: &Channel) -> String {
    let name = unique("single");
    let arguments = table([("x-single-active-consumer", AMQPValue::Boolean(true))]);
    within(
        "queue.declare-ok",
        channel.queue_declare(name.as_str().into(), QueueDeclareOptions::default(), arguments),
    )
    .await
    .unwrap();
    name
}

#[tokio::test]
async fn higher_priorities_are_served_first_and_lower_ones_when_they_are_full() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "priorities").await;
    prefetch(&channel, 2).await;
    let mut low = consume_with_priority(&channel, &queue, -1).await;
    let mut usual = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let mut high = consume_with_priority(&channel, &queue, 10).await;
    for number in 0..7 {
        publish(&channel, &queue, number.to_string()).await;
    }
    until_ready(&connection, &queue, 1).await;
    let held = next(&mut high).await;
    assert_eq!((text(&held), text(&next(&mut high).await)), ("0".into(), "1".into()));
    assert_eq!(bodies(&mut usual, 2).await, ["2", "3"]);
    assert_eq!(bodies(&mut low, 2).await, ["4", "5"]);
    held.ack(ACK).await.unwrap();
    assert_eq!(bodies(&mut high, 1).await, ["6"]);
}

#[tokio::test]
async fn one_consumer_is_active_and_the_next_takes_over() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let publisher = channel_on(&connection).await;
    let queue = single_active_queue(&publisher).await;
    let mut channels = Vec::new();
    for _ in 0..4 {
        channels.push(channel_on(&connection).await);
    }
    let mut first = consume(&channels[0], &queue, BasicConsumeOptions::default()).await;
    let mut second = consume(&channels[1], &queue, BasicConsumeOptions::default()).await;
    let mut third = consume_with_priority(&channels[2], &queue, 1).await;
    let mut fourth = consume(&channels[3], &queue, BasicConsumeOptions::default()).await;
    for number in 0..3 {
        publish(&publisher, &queue, number.to_string()).await;
    }
    assert_eq!(bodies(&mut first, 3).await, ["0", "1", "2"]);
    for waiting in [&mut second, &mut third, &mut fourth] {
        assert!(waiting.next().now_or_never().is_none());
    }
    // Of those that wait, the highest priority is next; what the former one held comes to it with its channel's end.
    within(
        "basic.cancel-ok",
        channels[0].basic_cancel(first.tag(), BasicCancelOptions::default()),
    )
    .await
    .unwrap();
    publish(&publisher, &queue, "3").await;
    assert_eq!(bodies(&mut third, 1).await, ["3"]);
    channels[0].close(200, "OK".into()).await.unwrap();
    assert_eq!(bodies(&mut third, 3).await, ["0", "1", "2"]);
    // Then the oldest.
    channels[2].close(200, "OK".into()).await.unwrap();
    assert_eq!(bodies(&mut second, 4).await, ["0", "1", "2", "3"]);
    assert!(fourth.next().now_or_never().is_none());
    channels[1].close(200, "OK".into()).await.unwrap();
    assert_eq!(bodies(&mut fourth, 4).await, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_connection_that_breaks_hands_over() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let publisher = channel_on(&connection).await;
    let queue = single_active_queue(&publisher).await;
    let other = connect(&broker).await;
    let mut first = consume(&channel_on(&other).await, &queue, BasicConsumeOptions::default()).await;
    let mut second = consume(&publisher, &queue, BasicConsumeOptions::default()).await;
    publish(&publisher, &queue, "held").await;
    next(&mut first).await;
    other.close(200, "OK".into()).await.unwrap();
    let delivery = next(&mut second).await;
    assert_eq!((text(&delivery).as_str(), delivery.redelivered), ("held", true));
}
