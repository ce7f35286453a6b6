//! What is published comes out as it went in, whatever its size and properties.

use crate::support::Broker;
use crate::support::lapin::*;
use crate::support::raw::{self, Raw};
use lapin::types::DecimalValue;

#[tokio::test]
async fn messages_come_in_the_order_of_their_publishing() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let queue = queue(&channel, "order").await;
    for number in 0..1000 {
        publish(&channel, &queue, number.to_string()).await;
    }
    let mut consumer = consume(
        &channel,
        &queue,
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    for number in 0..1000 {
        let delivery = next(&mut consumer).await;
        assert_eq!(text(&delivery), number.to_string());
        assert!(!delivery.redelivered);
        assert_eq!(delivery.delivery_tag, number + 1, "delivery tags count from 1 on a channel");
    }
}

#[tokio::test]
async fn properties_and_headers_come_out_as_they_went_in() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let queue = queue(&channel, "properties").await;
    let headers = table([
        ("bool", AMQPValue::Boolean(true)),
        ("i8", AMQPValue::ShortShortInt(-1)),
        ("u8", AMQPValue::ShortShortUInt(255)),
        ("i16", AMQPValue::ShortInt(-2)),
        ("u16", AMQPValue::ShortUInt(65535)),
        ("i32", AMQPValue::LongInt(-3)),
        ("u32", AMQPValue::LongUInt(u32::MAX)),
        ("i64", AMQPValue::LongLongInt(-4)),
        ("float", AMQPValue::Float(1.5)),
        ("double", AMQPValue::Double(-2.25)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 })),
        ("text", string("grüße")),
        ("array", AMQPValue::FieldArray(vec![AMQPValue::LongInt(1), string("two")].into())),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        ("table", AMQPValue::FieldTable(table([("inner", AMQPValue::Boolean(false))]))),
        ("void", AMQPValue::Void),
        ("octets", AMQPValue::ByteArray(vec![0, 1, 255].into())),
    ]);
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("identity".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(7)
        .with_correlation_id("correlation".into())
        .with_reply_to("reply".into())
        .with_expiration("600000".into())
        .with_message_id("message".into())
        .with_timestamp(1_700_000_001)
        .with_type("type".into())
        .with_user_id("guest".into())
        .with_app_id("app".into());
    publish_with(&channel, "", &queue, "body", properties.clone()).await;
    let delivery = take(&channel, &queue).await.unwrap();
    assert_eq!(delivery.properties, properties);
    assert_eq!(
        (text(&delivery).as_str(), delivery.exchange.as_str(), delivery.routing_key.as_str()),
        ("body", "", queue.as_str())
    );
}

#[tokio::test]
async fn bodies_of_every_size_come_out_whole() {
    let broker = Broker::shared();
    for frame_max in [131_072, 4096] {
        let connection = connect_to(&format!("{}?frame_max={frame_max}", broker.uri())).await;
        assert_eq!(connection.configuration().frame_max(), frame_max);
        let channel = channel_on(&connection).await;
        let queue = queue(&channel, "sizes").await;
        let full = frame_max as usize - 8;
        let sizes = [0, 1, full - 1, full, full + 1, 2 * full, 2 * full + 1, 1 << 20, 5_000_003];
        for size in sizes {
            publish(&channel, &queue, body(size)).await;
        }
        let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
        for size in sizes {
            let delivery = next(&mut consumer).await;
            assert!(
                delivery.data == body(size),
                "a body of {size} octets came as {} others, frame_max {frame_max}",
                delivery.data.len()
            );
            delivery.ack(ACK).await.unwrap();
        }
    }
}

/// Octets that differ wherever a piece could be lost, doubled or moved.
fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}

#[tokio::test]
async fn a_get_takes_the_head_and_counts_the_rest() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let queue = queue(&channel, "get").await;
    assert!(take(&channel, &queue).await.is_none());
    for body in ["a", "b", "c"] {
        publish(&channel, &queue, body).await;
    }
    for (body, rest) in [("a", 2), ("b", 1), ("c", 0)] {
        let message = channel
            .basic_get(queue.as_str().into(), BasicGetOptions { no_ack: false })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (text(&message).as_str(), message.message_count, message.redelivered),
            (body, rest, false)
        );
        message.ack(ACK).await.unwrap();
    }
    assert!(take(&channel, &queue).await.is_none());
}

#[tokio::test]
async fn channels_of_a_connection_do_not_mix() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let mut channels = Vec::new();
    for _ in 0..20 {
        let channel = channel_on(&connection).await;
        let queue = queue(&channel, "channels").await;
        let consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
        channels.push((channel, queue, consumer));
    }
    for round in 0..20 {
        for (channel, queue, _) in &channels {
            publish(channel, queue, format!("{queue} {round}")).await;
        }
    }
    for (_, queue, consumer) in &mut channels {
        for round in 0..20 {
            let delivery = next(consumer).await;
            assert_eq!(text(&delivery), format!("{queue} {round}"));
            assert_eq!(delivery.delivery_tag, round + 1);
            delivery.ack(ACK).await.unwrap();
        }
    }
    let (last, queue, _) = channels.pop().unwrap();
    last.close(200, "OK".into()).await.unwrap();
    let (channel, _, _) = &channels[0];
    publish(channel, &queue, "after").await;
    assert_eq!(
        text(&take(channel, &queue).await.unwrap()),
        "after",
        "a closed channel's consumer takes no more"
    );
}

/// A content header cannot be split into frames. RabbitMQ sends one that is too large for the consumer all the same.
#[tokio::test]
async fn a_header_that_is_too_large_for_the_consumers_frames_ends_its_connection_and_nothing_is_lost() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "wide").await;
    let headers = table([("long", string(&"x".repeat(5000)))]);
    publish_with(&channel, "", &queue, "wide", BasicProperties::default().with_headers(headers)).await;
    publish(&channel, &queue, "next").await;
    sync(&channel).await;
    for get in [false, true] {
        let mut narrow = Raw::login_tuned(broker.amqp(), Some(4096));
        narrow.open(1);
        if get {
            narrow.send(&raw::method(1, 60, 70, |a| a.u16(0).short(&queue).bits(&[false])));
        } else {
            narrow.call(&raw::consume(1, &queue, "", [false; 4]), 60, 21);
        }
        // What fits may be on its way already.
        loop {
            match narrow.next() {
                raw::Event::Frame(frame) if frame.method() == Some((10, 50)) => {
                    let mut arguments = frame.arguments();
                    assert_eq!(arguments.u16(), 501);
                    assert!(arguments.short().contains("does not fit into the negotiated frame_max of 4096"));
                    break;
                }
                raw::Event::Frame(frame) => assert!(frame.payload.len() <= 4088),
                other => panic!("{other:?}"),
            }
        }
        drop(narrow);
        until_ready(&connection, &queue, 2).await;
    }
    assert_eq!(drain(&channel, &queue).await, ["wide", "next"]);
}
