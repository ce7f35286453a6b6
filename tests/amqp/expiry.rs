//! What goes away by itself: messages that were to live for some time, and queues that nobody uses.

use crate::dead_letters::queue_with;
use crate::support::lapin::*;
use crate::support::{Broker, eventually, within};

fn int(n: i32) -> AMQPValue {
    AMQPValue::LongInt(n)
}

#[tokio::test]
async fn a_message_expires_by_its_own_time_or_its_queues_whichever_is_shorter() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let cases = [
        (Some(1), None, true),
        (Some(600_000), None, false),
        (None, Some("1"), true),
        (None, Some("600000"), false),
        (Some(1), Some("600000"), true),
        (Some(600_000), Some("1"), true),
        (Some(0), None, true),
        (None, Some("0"), true),
        (None, None, false),
    ];
    for (ttl, expiration, expires) in cases {
        let arguments = table(ttl.map(|ttl| ("x-message-ttl", int(ttl))));
        let queue = queue_with(&channel, arguments).await;
        let properties = BasicProperties::default();
        let properties = match expiration {
            Some(expiration) => properties.with_expiration(expiration.into()),
            None => properties,
        };
        publish_with(&channel, "", &queue, "m", properties).await;
        sync(&channel).await;
        if expires {
            until_ready(&connection, &queue, 0).await;
        } else {
            until_ready(&connection, &queue, 1).await;
            assert_eq!(drain(&channel, &queue).await, ["m"], "{ttl:?} {expiration:?}");
        }
    }
}

#[tokio::test]
async fn a_message_without_time_goes_to_a_consumer_that_waits() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let queue = queue_with(&channel, table([("x-message-ttl", int(0))])).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    publish(&channel, &queue, "at once").await;
    let delivery = next(&mut consumer).await;
    assert_eq!(text(&delivery), "at once");
    delivery.ack(ACK).await.unwrap();
}

#[tokio::test]
async fn a_message_that_somebody_holds_does_not_expire() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let dead = queue(&channel, "dead").await;
    let arguments = [
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string(&dead)),
        ("x-message-ttl", int(100)),
    ];
    let queue = queue_with(&channel, table(arguments)).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    publish(&channel, &queue, "held").await;
    let held = next(&mut consumer).await;
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    // Another that nobody takes shows that the time is over.
    publish(&channel, &queue, "waits").await;
    until_ready(&connection, &dead, 1).await;
    held.nack(REQUEUE).await.unwrap();
    until_ready(&connection, &dead, 2).await;
    assert_eq!(drain(&channel, &dead).await, ["waits", "held"]);
}

#[tokio::test]
async fn a_queue_that_nobody_uses_expires() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue_with(&channel, table([("x-expires", int(300))])).await;
    publish(&channel, &queue, "messages do not keep it").await;
    let gone = async |queue: &str| {
        let what = format!("the end of {queue}");
        // Asking by declaration would use it.
        eventually(&what, async || {
            let channel = channel_on(&connection).await;
            let bound = channel.queue_bind(
                queue.into(),
                "amq.direct".into(),
                "k".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            within("an answer", bound).await.err()
        })
        .await;
    };
    gone(&queue).await;

    let queue = queue_with(&channel, table([("x-expires", int(300))])).await;
    let consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let shorter = queue_with(&channel, table([("x-expires", int(600))])).await;
    gone(&shorter).await;
    assert_eq!(counts(&connection, &queue).await, Some((0, 1)), "its consumer keeps it");
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    gone(&queue).await;
}

#[tokio::test]
async fn a_full_queue_drops_its_oldest_messages() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    for arguments in [[("x-max-length", int(3))], [("x-max-length-bytes", int(3))]] {
        let queue = queue_with(&channel, table(arguments)).await;
        for number in 0..10 {
            publish(&channel, &queue, number.to_string()).await;
        }
        until_ready(&connection, &queue, 3).await;
        assert_eq!(drain(&channel, &queue).await, ["7", "8", "9"]);
    }
}
