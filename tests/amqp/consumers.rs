//! Consumers: prefetch, sharing, priority among them, cancellation by either side.

use futures_util::{FutureExt, StreamExt};

use crate::support::lapin::*;
use crate::support::{Broker, within};

#[tokio::test]
async fn prefetch_limits_what_is_unsettled() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "prefetch").await;
    for number in 0..20 {
        publish(&channel, &queue, number.to_string()).await;
    }
    prefetch(&channel, 3).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut consumer).await);
    }
    until_ready(&connection, &queue, 17).await;
    assert!(consumer.next().now_or_never().is_none(), "a fourth message came");
    held.remove(1).ack(ACK).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(text(&delivery), "3");
    held.remove(0).nack(REQUEUE).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(
        (text(&delivery).as_str(), delivery.redelivered),
        ("0", true),
        "what is given back makes room, and is first"
    );
    until_ready(&connection, &queue, 16).await;
}

#[tokio::test]
async fn prefetch_holds_for_each_consumer_of_a_channel() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "prefetch").await;
    prefetch(&channel, 2).await;
    let mut first = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    prefetch(&channel, 5).await;
    let mut second = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    for number in 0..20 {
        publish(&channel, &queue, number.to_string()).await;
    }
    bodies(&mut first, 2).await;
    bodies(&mut second, 5).await;
    until_ready(&connection, &queue, 13).await;
    assert!(first.next().now_or_never().is_none() && second.next().now_or_never().is_none());
}

#[tokio::test]
async fn consumers_of_a_queue_take_turns() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let publisher = channel_on(&connection).await;
    let queue = queue(&publisher, "turns").await;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        consumers.push(consume(&channel_on(&connection).await, &queue, BasicConsumeOptions::default()).await);
    }
    for number in 0..30 {
        publish(&publisher, &queue, number.to_string()).await;
    }
    let mut all = Vec::new();
    for consumer in &mut consumers {
        let share = bodies(consumer, 10).await;
        let numbers: Vec<u32> = share.iter().map(|body| body.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "a consumer got {numbers:?}");
        all.extend(numbers);
    }
    all.sort_unstable();
    assert_eq!(all, (0..30).collect::<Vec<_>>(), "each message came once");
}

#[tokio::test]
async fn a_cancelled_consumer_gets_nothing_more_and_keeps_what_it_has() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "cancel").await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    publish(&channel, &queue, "before").await;
    let held = next(&mut consumer).await;
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    publish(&channel, &queue, "after").await;
    assert!(within("the end of the stream", consumer.next()).await.is_none());
    assert_eq!(counts(&connection, &queue).await, Some((1, 0)));
    held.ack(ACK).await.unwrap();
    assert_eq!(drain(&channel, &queue).await, ["after"]);
    channel.basic_cancel("nobody".into(), BasicCancelOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_consumer_is_told_that_its_queue_was_deleted() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "deleted").await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let other = channel_on(&connection).await;
    other
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    assert!(within("basic.cancel", consumer.next()).await.is_none());
    sync(&channel).await;
}

#[tokio::test]
async fn an_exclusive_consumer_is_alone() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "alone").await;
    let alone = BasicConsumeOptions {
        exclusive: true,
        ..Default::default()
    };
    let consumer = consume(&channel, &queue, alone).await;
    let refused = channel_on(&connection)
        .await
        .basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(code(&refused), Some(403));
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    consume(&channel_on(&connection).await, &queue, alone).await;
}

#[tokio::test]
async fn a_consumer_without_acknowledgement_settles_as_it_goes() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "no-ack").await;
    for number in 0..100 {
        publish(&channel, &queue, number.to_string()).await;
    }
    prefetch(&channel, 1).await;
    let mut consumer = consume(
        &channel,
        &queue,
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    assert_eq!(
        bodies(&mut consumer, 100).await,
        (0..100).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    connection.close(200, "OK".into()).await.unwrap();
    let connection = connect(&broker).await;
    assert_eq!(counts(&connection, &queue).await, Some((0, 0)));
}
