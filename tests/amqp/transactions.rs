//! Transactions: nothing that a channel publishes or settles takes effect before its commit, and nothing of it after a rollback.

use crate::support::lapin::*;
use crate::support::raw::{self, Raw};
use crate::support::{Broker, unique, within};

/// A transactional channel on its own connection, another channel on another one, and a queue.
async fn transactional(broker: &Broker) -> (Connection, Channel, Channel, String) {
    let connection = connect(broker).await;
    let channel = channel_on(&connection).await;
    let other = channel_on(&connect(broker).await).await;
    let queue = queue(&other, "transactional").await;
    channel.tx_select().await.unwrap();
    (connection, channel, other, queue)
}

#[tokio::test]
async fn what_is_published_is_there_after_the_commit_only() {
    let broker = Broker::shared();
    let (connection, channel, other, queue) = transactional(&broker).await;
    publish(&channel, &queue, "one").await;
    publish(&channel, &queue, "x".repeat(10_000)).await;
    sync(&channel).await;
    assert_eq!(counts(&connection, &queue).await, Some((0, 0)));
    channel.tx_commit().await.unwrap();
    assert_eq!(counts(&connection, &queue).await, Some((2, 0)));
    publish(&channel, &queue, "never").await;
    publish(&channel, &queue, "y".repeat(10_000)).await;
    channel.tx_rollback().await.unwrap();
    channel.tx_commit().await.unwrap();
    publish(&channel, &queue, "three").await;
    channel.tx_commit().await.unwrap();
    assert_eq!(drain(&other, &queue).await, ["one", &"x".repeat(10_000), "three"]);
}

#[tokio::test]
async fn what_is_settled_is_settled_by_the_commit_only() {
    let broker = Broker::shared();
    let (connection, channel, other, queue) = transactional(&broker).await;
    for number in 0..6 {
        publish(&other, &queue, number.to_string()).await;
    }
    sync(&other).await;
    let mut taken = Vec::new();
    for _ in 0..6 {
        taken.push(get(&channel, &queue, BasicGetOptions::default()).await.unwrap());
    }
    taken[0].ack(ACK).await.unwrap();
    taken[3].ack(BasicAckOptions { multiple: true }).await.unwrap();
    taken[4].nack(REQUEUE).await.unwrap();
    sync(&channel).await;
    assert_eq!(counts(&connection, &queue).await, Some((0, 0)), "nothing has come back yet");
    channel.tx_rollback().await.unwrap();
    // they are unsettled again, by the tags that they had
    channel.basic_ack(taken[1].delivery_tag, ACK).await.unwrap();
    channel.basic_nack(taken[4].delivery_tag, REQUEUE).await.unwrap();
    channel.tx_commit().await.unwrap();
    until_ready(&connection, &queue, 1).await;
    channel.basic_ack(taken[2].delivery_tag, ACK).await.unwrap();
    // the end of the channel is a rollback, and gives back what is unsettled
    channel.close(200, "OK".into()).await.unwrap();
    until_ready(&connection, &queue, 5).await;
    assert_eq!(drain(&other, &queue).await, ["0", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn an_acknowledgement_makes_room_for_more_with_the_commit() {
    let broker = Broker::shared();
    let (_connection, channel, other, queue) = transactional(&broker).await;
    for number in 0..4 {
        publish(&other, &queue, number.to_string()).await;
    }
    prefetch(&channel, 2).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let first = next(&mut consumer).await;
    let second = next(&mut consumer).await;
    first.ack(ACK).await.unwrap();
    second.ack(ACK).await.unwrap();
    sync(&channel).await;
    assert_eq!(take(&other, &queue).await.map(|message| text(&message)), Some("2".into()));
    channel.tx_commit().await.unwrap();
    assert_eq!(text(&next(&mut consumer).await), "3");
}

#[test]
fn a_message_that_reaches_nobody_comes_back_with_the_commit() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    raw.call(&raw::method(1, 90, 10, |a| a), 90, 11);
    for end in [30, 20] {
        raw.send(&raw::publish(1, "", &unique("nowhere"), &[true, false]));
        raw.send(&raw::header(1, 0));
        raw.send(&raw::method(1, 90, end, |a| a));
        if end == 20 {
            raw.expect(60, 50);
            assert!(matches!(raw.next(), raw::Event::Frame(frame) if frame.kind == raw::HEADER));
        }
        raw.expect(90, end + 1);
    }
    // again on the same channel, and selecting twice changes nothing
    raw.call(&raw::method(1, 90, 10, |a| a), 90, 11);
    raw.call(&raw::method(1, 90, 20, |a| a), 90, 21);
}

#[tokio::test]
async fn one_transaction_moves_messages_over_several_queues() {
    let broker = Broker::shared();
    let (connection, channel, other, from) = transactional(&broker).await;
    let mut to = Vec::new();
    for _ in 0..4 {
        to.push(durable_queue(&other, "moved").await);
    }
    for number in 0..40 {
        publish(&other, &from, number.to_string()).await;
    }
    let mut consumer = consume(&channel, &from, BasicConsumeOptions::default()).await;
    for number in 0..40 {
        let message = next(&mut consumer).await;
        let persistent = BasicProperties::default().with_delivery_mode(2);
        publish_with(&channel, "", &to[number % 4], &message.data, persistent).await;
        message.ack(ACK).await.unwrap();
        if number % 10 == 9 {
            channel.tx_commit().await.unwrap();
        }
    }
    assert_eq!(counts(&connection, &from).await, Some((0, 1)));
    for (lane, queue) in to.iter().enumerate() {
        let expected: Vec<_> = (0..40)
            .filter(|number| number % 4 == lane)
            .map(|number| number.to_string())
            .collect();
        assert_eq!(drain(&other, queue).await, expected);
    }
}

#[test]
fn what_finds_its_queues_gone_at_the_commit_comes_back_before_the_answer() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let (gone, half, kept) = (unique("gone"), unique("half"), unique("kept"));
    let exchange = unique("all");
    for queue in [&gone, &half, &kept] {
        raw.call(&raw::queue_declare(1, queue, [false; 5]), 50, 11);
    }
    raw.call(&raw::exchange_declare(1, &exchange, "fanout", [false; 5]), 40, 11);
    for queue in [&half, &kept] {
        let bind = raw::method(1, 50, 20, |a| a.u16(0).short(queue).short(&exchange).short("").u8(0).table(b""));
        raw.call(&bind, 50, 21);
    }
    raw.call(&raw::method(1, 90, 10, |a| a), 90, 11);
    let large = "x".repeat(10_000);
    for (exchange, key, body, mandatory) in [
        ("", &gone[..], "one", true),
        ("", &kept, "kept", true),
        ("", &gone, "not asked for", false),
        ("", "nowhere", "two", true),
        ("", &gone, &large, true),
        (&exchange, "half", "half", true),
    ] {
        raw.send(&raw::publish(1, exchange, key, &[mandatory, false]));
        raw.send(&raw::header(1, body.len() as u64));
        raw.send(&raw::frame(raw::BODY, 1, body.as_bytes()));
    }
    for queue in [&gone, &half] {
        raw.call(&raw::method(1, 50, 40, |a| a.u16(0).short(queue).u8(0)), 50, 41);
    }
    raw.send(&raw::method(1, 90, 20, |a| a));
    for (key, body) in [(&gone[..], "one"), ("nowhere", "two"), (&gone, &large)] {
        let returned = raw.expect(60, 50);
        let mut arguments = returned.arguments();
        assert_eq!(
            (arguments.u16(), arguments.short(), arguments.short()),
            (312, "NO_ROUTE".into(), String::new())
        );
        assert_eq!(arguments.short(), key);
        for (kind, size) in [(raw::HEADER, None), (raw::BODY, Some(body.len()))] {
            let raw::Event::Frame(frame) = raw.next() else {
                panic!("the content of {key}")
            };
            assert_eq!(frame.kind, kind);
            assert!(size.is_none_or(|size| size == frame.payload.len()));
        }
    }
    raw.expect(90, 21);
    let deleted = raw.call(&raw::method(1, 50, 40, |a| a.u16(0).short(&kept).u8(0)), 50, 41);
    assert_eq!(deleted.arguments().u32(), 2, "what went to a queue that is left is there");
}

#[tokio::test]
async fn the_time_to_live_counts_from_the_commit() {
    let broker = Broker::shared();
    let (connection, channel, other, queue) = transactional(&broker).await;
    let expiring = |ms: &str| BasicProperties::default().with_expiration(ms.into());
    publish_with(&channel, "", &queue, "stays", expiring("2000")).await;
    publish_with(&channel, "", &queue, "goes", expiring("1")).await;
    sync(&channel).await;
    // this one is as old when it goes as the other would be
    let clock = durable_queue(&other, "clock").await;
    publish_with(&other, "", &clock, "tick", expiring("2000")).await;
    sync(&other).await;
    until_ready(&connection, &clock, 0).await;
    channel.tx_commit().await.unwrap();
    assert_eq!(take(&other, &queue).await.map(|message| text(&message)), Some("stays".into()));
    until_ready(&connection, &queue, 0).await;
}

#[tokio::test]
async fn a_queue_that_is_there_again_at_the_commit_gets_what_was_for_its_name() {
    let broker = Broker::shared();
    let (_connection, channel, other, queue) = transactional(&broker).await;
    let large = "x".repeat(10_000);
    let persistent = BasicProperties::default().with_delivery_mode(2);
    for body in ["one", &large] {
        publish_with(&channel, "", &queue, body, persistent.clone()).await;
    }
    sync(&channel).await;
    let deleted = other.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
    within("queue.delete-ok", deleted).await.unwrap();
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    declare(&other, &queue, durable).await;
    publish(&channel, &queue, "two").await;
    channel.tx_commit().await.unwrap();
    assert_eq!(drain(&other, &queue).await, ["one", &large, "two"]);
}
