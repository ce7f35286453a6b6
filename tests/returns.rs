//! How often a message came back, and until when it waits, outlives the broker: it is killed in the middle. RabbitMQ's quorum queues keep counts
//! in the same way.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::lapin::*;
use support::{Broker, within};

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

fn int(n: i32) -> AMQPValue {
    AMQPValue::LongInt(n)
}

async fn durable_with(channel: &Channel, name: &str, arguments: FieldTable) {
    channel.queue_declare(name.into(), DURABLE, arguments).await.unwrap();
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = channel_on(connection).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

/// Waits for a confirm: all that was done on this channel before is durable then, too.
async fn confirmed(channel: &Channel, key: &str, body: &str) {
    let published = channel.basic_publish(
        "".into(),
        key.into(),
        BasicPublishOptions::default(),
        body.as_bytes(),
        BasicProperties::default().with_delivery_mode(2),
    );
    let confirmation = within("a confirm", published.await.unwrap()).await.unwrap();
    assert_eq!(confirmation, lapin::Confirmation::Ack(None));
}

fn header(delivery: &Delivery, name: &str) -> Option<i64> {
    let headers = delivery.properties.headers().as_ref()?;
    headers.inner().get(name).map(|value| match value {
        AMQPValue::LongLongInt(n) => *n,
        other => panic!("{name} is {other:?}"),
    })
}

/// The next message, which is not acknowledged.
async fn hold(channel: &Channel, queue: &str) -> Option<Delivery> {
    get(channel, queue, BasicGetOptions { no_ack: false }).await
}

async fn nack(delivery: Delivery, requeue: bool) {
    let options = BasicNackOptions { multiple: false, requeue };
    delivery.acker.nack(options).await.unwrap();
}

#[tokio::test]
async fn counts_outlive_a_kill_and_what_was_under_way_counts() {
    let Some(mut broker) = Broker::own() else { return };
    let dead_letters = [
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("dead")),
    ];
    let limited = [("x-queue-type", string("quorum")), ("x-delivery-limit", int(2))];
    {
        let channel = confirming(&connect(&broker).await).await;
        durable_with(&channel, "dead", FieldTable::default()).await;
        durable_with(&channel, "marker", FieldTable::default()).await;
        durable_with(&channel, "work", table(limited.into_iter().chain(dead_letters))).await;
        for body in ["twice", "once", "held", "never"] {
            confirmed(&channel, "work", body).await;
        }
        for _ in 0..2 {
            nack(hold(&channel, "work").await.unwrap(), true).await;
        }
        let twice = hold(&channel, "work").await.unwrap();
        assert_eq!((text(&twice).as_str(), header(&twice, "x-delivery-count")), ("twice", Some(2)));
        let once = hold(&channel, "work").await.unwrap();
        assert_eq!(text(&hold(&channel, "work").await.unwrap()), "held");
        nack(once, true).await;
        // The third attempt of one, the first of another are under way, and no more.
        confirmed(&channel, "marker", "all of that is durable").await;
        broker.kill();
    }
    broker.restart();
    let channel = channel(&broker).await;
    let mut dead = consume(&channel, "dead", BasicConsumeOptions::default()).await;
    let letter = next(&mut dead).await;
    assert_eq!(text(&letter), "twice", "its last attempt was under way");
    for (body, count) in [("once", Some(1)), ("held", Some(1)), ("never", None)] {
        let delivery = hold(&channel, "work").await.unwrap();
        assert_eq!((text(&delivery).as_str(), header(&delivery, "x-delivery-count")), (body, count));
        assert!(delivery.redelivered);
    }
    assert!(hold(&channel, "work").await.is_none());
}

#[tokio::test]
async fn delays_outlive_a_kill() {
    let Some(mut broker) = Broker::own() else { return };
    let wait = Duration::from_millis(1500);
    let returned;
    {
        let channel = confirming(&connect(&broker).await).await;
        durable_with(&channel, "marker", FieldTable::default()).await;
        for (name, min) in [("short", wait.as_millis() as i32), ("long", 3_600_000)] {
            let arguments = [("x-delayed-retry-type", string("all")), ("x-delayed-retry-min", int(min))];
            let arguments = table(arguments.into_iter().chain([("x-delayed-retry-max", int(min))]));
            durable_with(&channel, name, arguments).await;
            confirmed(&channel, name, name).await;
            confirmed(&channel, name, "behind").await;
            nack(hold(&channel, name).await.unwrap(), true).await;
        }
        returned = Instant::now();
        confirmed(&channel, "marker", "all of that is durable").await;
        broker.kill();
    }
    broker.restart();
    let channel = channel(&broker).await;
    let mut short = consume(&channel, "short", BasicConsumeOptions::default()).await;
    assert_eq!(text(&next(&mut short).await), "behind");
    let delivery = next(&mut short).await;
    let waited = returned.elapsed();
    assert_eq!(
        (text(&delivery).as_str(), header(&delivery, "x-delivery-count")),
        ("short", Some(1))
    );
    assert!(waited >= wait - Duration::from_millis(100), "after {waited:?}");
    assert_eq!(drain(&channel, "long").await, ["behind"]);
}
