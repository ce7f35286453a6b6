//! Queues: named by the broker, exclusive, deleted by themselves, purged, deleted, and what is counted in doing so.

use crate::support::lapin::*;
use crate::support::{Broker, eventually, unique};

#[tokio::test]
async fn the_broker_names_queues_without_a_name() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let first = declare(
        &channel,
        "",
        QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        },
    )
    .await;
    let second = declare(
        &channel,
        "",
        QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        },
    )
    .await;
    assert!(
        first.starts_with("amq.gen-") && second.starts_with("amq.gen-") && first != second,
        "{first} {second}"
    );
    publish(&channel, &second, "m").await;
    assert_eq!(
        text(&take(&channel, "").await.unwrap()),
        "m",
        "the empty name stands for the queue declared last"
    );
}

#[tokio::test]
async fn declaring_again_changes_nothing_and_counts() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "again").await;
    for _ in 0..3 {
        publish(&channel, &queue, "m").await;
    }
    until_ready(&connection, &queue, 3).await;
    let options = QueueDeclareOptions::default();
    let declared = channel
        .queue_declare(queue.as_str().into(), options, FieldTable::default())
        .await
        .unwrap();
    assert_eq!((declared.message_count(), declared.consumer_count()), (3, 0));
    let _consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let declared = channel
        .queue_declare(queue.as_str().into(), options, FieldTable::default())
        .await
        .unwrap();
    assert_eq!(declared.consumer_count(), 1);
}

#[tokio::test]
async fn an_exclusive_queue_belongs_to_its_connection_and_goes_with_it() {
    let broker = Broker::shared();
    let (owner, other) = (connect(&broker).await, connect(&broker).await);
    let channel = channel_on(&owner).await;
    let queue = declare(
        &channel,
        &unique("exclusive"),
        QueueDeclareOptions {
            exclusive: true,
            durable: true,
            ..Default::default()
        },
    )
    .await;
    publish(&channel_on(&other).await, &queue, "from outside").await;
    until_ready(&owner, &queue, 1).await;
    let refused = channel_on(&other)
        .await
        .basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(code(&refused), Some(405));
    channel.close(200, "OK".into()).await.unwrap();
    assert_eq!(counts(&owner, &queue).await, Some((1, 0)), "it outlives the channel");
    owner.close(200, "OK".into()).await.unwrap();
    eventually("the end of the exclusive queue", async || {
        counts(&other, &queue).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = declare(
        &channel,
        &unique("auto"),
        QueueDeclareOptions {
            auto_delete: true,
            ..Default::default()
        },
    )
    .await;
    assert_eq!(counts(&connection, &queue).await, Some((0, 0)), "it waits for its first consumer");
    let first = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let second_channel = channel_on(&connection).await;
    let _second = consume(&second_channel, &queue, BasicConsumeOptions::default()).await;
    channel.basic_cancel(first.tag(), BasicCancelOptions::default()).await.unwrap();
    assert_eq!(counts(&connection, &queue).await, Some((0, 1)));
    second_channel.close(200, "OK".into()).await.unwrap();
    eventually("the end of the queue", async || {
        counts(&connection, &queue).await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn purge_and_delete_count_what_was_ready() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "purge").await;
    for number in 0..5 {
        publish(&channel, &queue, number.to_string()).await;
    }
    let held = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    assert_eq!(
        channel
            .queue_purge(queue.as_str().into(), QueuePurgeOptions::default())
            .await
            .unwrap(),
        4
    );
    assert_eq!(
        channel
            .queue_purge(queue.as_str().into(), QueuePurgeOptions::default())
            .await
            .unwrap(),
        0
    );
    held.nack(REQUEUE).await.unwrap();
    publish(&channel, &queue, "5").await;
    sync(&channel).await;
    assert_eq!(
        channel
            .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
            .await
            .unwrap(),
        2,
        "an unsettled one is not purged"
    );
    assert_eq!(counts(&connection, &queue).await, None);
    let again = channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await;
    assert_eq!(again.unwrap(), 0, "deleting what is not there is done already");
}

#[tokio::test]
async fn settling_after_the_queue_is_gone_is_no_mistake() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let queue = queue(&channel, "gone").await;
    publish(&channel, &queue, "1").await;
    publish(&channel, &queue, "2").await;
    let first = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    let second = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    channel
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    first.ack(ACK).await.unwrap();
    second.nack(REQUEUE).await.unwrap();
    sync(&channel).await;
    declare(&channel, &queue, QueueDeclareOptions::default()).await;
    assert!(take(&channel, &queue).await.is_none(), "the new queue of that name is another");
}
