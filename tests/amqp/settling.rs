//! ack, nack, reject, recover: what they settle, what they give back, and where it returns to.

use crate::support::lapin::*;
use crate::support::{Broker, unique};

/// A queue with the messages 0 to 9, and a consumer that has them all, unsettled.
async fn ten_delivered(broker: &Broker) -> (Connection, Channel, String, Vec<Delivery>) {
    let connection = connect(broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "settling").await;
    for number in 0..10 {
        publish(&channel, &queue, number.to_string()).await;
    }
    let mut taken = Vec::new();
    for _ in 0..10 {
        taken.push(get(&channel, &queue, BasicGetOptions::default()).await.unwrap());
    }
    (connection, channel, queue, taken)
}

/// What the queue has once everything unsettled has come back, and whether it is marked as redelivered.
async fn left(connection: &Connection, channel: Channel, queue: &str) -> String {
    channel.close(200, "OK".into()).await.unwrap();
    let other = channel_on(connection).await;
    let mut left = Vec::new();
    while let Some(message) = take(&other, queue).await {
        assert!(message.redelivered, "{} has been delivered before", text(&message));
        left.push(text(&message));
    }
    left.join(" ")
}

#[tokio::test]
async fn what_is_acknowledged_is_gone_and_the_rest_comes_back_in_its_order() {
    let broker = Broker::shared();
    type Settle = fn(&Channel, &[Delivery]) -> Vec<(u64, bool)>;
    let cases: [(&str, Settle, &str); 6] = [
        ("one", |_, d| vec![(d[4].delivery_tag, false)], "0 1 2 3 5 6 7 8 9"),
        (
            "some, in any order",
            |_, d| vec![(d[7].delivery_tag, false), (d[2].delivery_tag, false)],
            "0 1 3 4 5 6 8 9",
        ),
        ("all up to one", |_, d| vec![(d[6].delivery_tag, true)], "7 8 9"),
        (
            "one, then all up to a later one",
            |_, d| vec![(d[1].delivery_tag, false), (d[3].delivery_tag, true)],
            "4 5 6 7 8 9",
        ),
        ("all", |_, _| vec![(0, true)], ""),
        ("none", |_, _| vec![], "0 1 2 3 4 5 6 7 8 9"),
    ];
    for (what, settle, expected) in cases {
        let (connection, channel, queue, taken) = ten_delivered(&broker).await;
        for (tag, multiple) in settle(&channel, &taken) {
            channel.basic_ack(tag, BasicAckOptions { multiple }).await.unwrap();
        }
        assert_eq!(left(&connection, channel, &queue).await, expected, "acknowledging {what}");
    }
}

#[tokio::test]
async fn what_is_given_back_returns_to_its_place() {
    let broker = Broker::shared();
    let (_connection, channel, queue, taken) = ten_delivered(&broker).await;
    publish(&channel, &queue, "10").await;
    taken[5].nack(REQUEUE).await.unwrap();
    taken[2].reject(BasicRejectOptions { requeue: true }).await.unwrap();
    channel
        .basic_nack(
            taken[1].delivery_tag,
            BasicNackOptions {
                multiple: true,
                requeue: true,
            },
        )
        .await
        .unwrap();
    sync(&channel).await;
    assert_eq!(
        drain(&channel, &queue).await,
        ["0", "1", "2", "5", "10"],
        "before what came later, in their order"
    );
}

#[tokio::test]
async fn what_is_rejected_without_requeue_is_gone() {
    let broker = Broker::shared();
    let (connection, channel, queue, taken) = ten_delivered(&broker).await;
    taken[0].reject(BasicRejectOptions { requeue: false }).await.unwrap();
    taken[1]
        .nack(BasicNackOptions {
            multiple: false,
            requeue: false,
        })
        .await
        .unwrap();
    channel
        .basic_nack(
            taken[4].delivery_tag,
            BasicNackOptions {
                multiple: true,
                requeue: false,
            },
        )
        .await
        .unwrap();
    assert_eq!(left(&connection, channel, &queue).await, "5 6 7 8 9");
}

#[tokio::test]
async fn recover_gives_back_all_that_the_channel_has() {
    let broker = Broker::shared();
    let (connection, channel, queue, taken) = ten_delivered(&broker).await;
    taken[0].ack(ACK).await.unwrap();
    channel.basic_recover(BasicRecoverOptions { requeue: true }).await.unwrap();
    until_ready(&connection, &queue, 9).await;
    let first = take(&channel, &queue).await.unwrap();
    assert_eq!((text(&first).as_str(), first.redelivered), ("1", true));
    assert_eq!(first.delivery_tag, 11, "delivery tags go on counting");
}

#[tokio::test]
async fn a_lost_connection_gives_back_what_it_had() {
    let broker = Broker::shared();
    let (connection, channel, queue, taken) = ten_delivered(&broker).await;
    channel
        .basic_ack(taken[2].delivery_tag, BasicAckOptions { multiple: true })
        .await
        .unwrap();
    sync(&channel).await;
    connection.close(200, "bye".into()).await.unwrap();
    let connection = connect(&broker).await;
    until_ready(&connection, &queue, 7).await;
    let channel = channel_on(&connection).await;
    let message = take(&channel, &queue).await.unwrap();
    assert_eq!((text(&message).as_str(), message.redelivered), ("3", true));
}

#[tokio::test]
async fn a_requeued_message_goes_to_another_consumer_or_back_to_the_same() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let queue = queue(&channel, "again").await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    publish(&channel, &queue, "m").await;
    for attempt in 0..5 {
        let delivery = next(&mut consumer).await;
        assert_eq!((text(&delivery).as_str(), delivery.redelivered), ("m", attempt > 0));
        delivery.nack(REQUEUE).await.unwrap();
    }
    next(&mut consumer).await.ack(ACK).await.unwrap();
}

/// A queue of the type quorum counts how often a message came back.
#[tokio::test]
async fn what_came_back_to_a_quorum_queue_says_how_often() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let name = unique("counted");
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let arguments = table([("x-queue-type", string("quorum"))]);
    channel.queue_declare(name.as_str().into(), durable, arguments).await.unwrap();
    let headers = table([("a", AMQPValue::LongInt(1))]);
    publish_with(&channel, "", &name, "body", BasicProperties::default().with_headers(headers)).await;
    until_ready(&connection, &name, 1).await;
    let headers_of = |delivery: &Delivery| delivery.properties.headers().clone().unwrap().inner().clone();
    let count = |delivery: &Delivery| headers_of(delivery).get("x-delivery-count").cloned();
    for returns in 0..3 {
        let delivery = get(&channel, &name, BasicGetOptions { no_ack: false }).await.unwrap();
        let expected = (returns > 0).then_some(AMQPValue::LongLongInt(returns));
        assert_eq!((count(&delivery), delivery.redelivered), (expected, returns > 0));
        assert_eq!(headers_of(&delivery).get("a"), Some(&AMQPValue::LongInt(1)));
        delivery.nack(REQUEUE).await.unwrap();
        sync(&channel).await;
        until_ready(&connection, &name, 1).await;
    }
    let mut consumer = consume(&channel, &name, BasicConsumeOptions::default()).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(
        (count(&delivery), text(&delivery).as_str()),
        (Some(AMQPValue::LongLongInt(3)), "body")
    );
    delivery.ack(ACK).await.unwrap();
    channel
        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
}
