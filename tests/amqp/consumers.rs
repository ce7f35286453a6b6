//! Consumers: prefetch, sharing, priority among them, cancellation by either side.

use futures_util::{FutureExt, StreamExt};

use crate::support::lapin::*;
use crate::support::raw::{self, Event, HEADER, Raw, Writer};
use crate::support::{Broker, unique, within};

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

/// A connection whose client said whether it wants to hear of cancelled consumers.
fn login(broker: &Broker, cancel_notify: bool) -> Raw {
    let mut raw = Raw::connect(broker.amqp());
    raw.send(raw::PROTOCOL_HEADER);
    raw.expect(10, 10);
    let capabilities = Writer::default()
        .short("consumer_cancel_notify")
        .u8(b't')
        .u8(cancel_notify.into())
        .0;
    let properties = Writer::default().short("capabilities").u8(b'F').table(&capabilities).0;
    raw.send(&raw::method(0, 10, 11, |a| {
        a.table(&properties).short("PLAIN").long(b"\0guest\0guest").short("en_US")
    }));
    let tune = raw.expect(10, 30);
    let mut offer = tune.arguments();
    let (channel_max, frame_max) = (offer.u16(), offer.u32());
    raw.send(&raw::tune_ok(channel_max, frame_max, 0));
    raw.send(&raw::connection_open("/"));
    raw.expect(10, 41);
    raw.open(1);
    raw
}

/// A client that ends with its last consumer would not take the answer any more.
#[test]
fn who_deletes_a_queue_has_the_answer_before_its_consumers_are_cancelled() {
    let broker = Broker::shared();
    for durable in [true, false] {
        let queue = unique("deleted");
        let mut raw = login(&broker, true);
        raw.call(&raw::queue_declare(1, &queue, [false, durable, false, false, false]), 50, 11);
        raw.call(&raw::consume(1, &queue, "mine", [false; 4]), 60, 21);
        raw.call(&raw::method(1, 50, 40, |a| a.u16(0).short(&queue).u8(0)), 50, 41);
        raw.expect(60, 30);
    }
}

#[test]
fn only_clients_that_want_it_are_told_of_a_deleted_queue() {
    let broker = Broker::shared();
    for cancel_notify in [true, false] {
        let queue = unique("deleted");
        let mut raw = login(&broker, cancel_notify);
        raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
        raw.send(&raw::publish(1, "", &queue, &[false, false]));
        raw.send(&raw::header(1, 0));
        raw.call(&raw::consume(1, &queue, "mine", [false; 4]), 60, 21);
        raw.expect(60, 60);
        assert!(matches!(raw.next(), Event::Frame(frame) if frame.kind == HEADER));
        let mut other = Raw::login(broker.amqp());
        other.open(1);
        other.call(&raw::method(1, 50, 40, |a| a.u16(0).short(&queue).u8(0)), 50, 41);
        if cancel_notify {
            let cancel = raw.expect(60, 30);
            let mut arguments = cancel.arguments();
            assert_eq!((arguments.short(), arguments.u8()), ("mine".into(), 1), "without an answer");
            // Some answer all the same, which RabbitMQ does not take.
            if !Broker::is_external() {
                raw.send(&raw::method(1, 60, 31, |a| a.short("mine")));
            }
        }
        // What it holds is gone with the queue, and can be acknowledged; its tag is free again.
        raw.send(&raw::method(1, 60, 80, |a| a.u64(1).u8(0)));
        raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
        raw.call(&raw::consume(1, &queue, "mine", [false; 4]), 60, 21);
    }
}

#[test]
fn acknowledging_all_with_nothing_outstanding_is_no_mistake() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    raw.send(&raw::method(1, 60, 80, |a| a.u64(0).u8(1)));
    raw.send(&raw::method(1, 60, 120, |a| a.u64(0).u8(1)));
    // basic.recover is answered, basic.recover-async is not.
    raw.send(&raw::method(1, 60, 100, |a| a.u8(1)));
    raw.call(&raw::method(1, 60, 110, |a| a.u8(1)), 60, 111);
    let flow = raw.call(&raw::method(1, 20, 20, |a| a.u8(1)), 20, 21);
    assert_eq!(flow.arguments().u8(), 1);
}
