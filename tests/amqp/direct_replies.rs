//! Direct reply-to: answers without a queue of one's own (a RabbitMQ extension).

use crate::support::lapin::*;
use crate::support::raw::{self, Event, HEADER, Raw, Writer};
use crate::support::{Broker, unique};

const REPLIES: &str = "amq.rabbitmq.reply-to";
const NO_ACK: BasicConsumeOptions = BasicConsumeOptions {
    no_ack: true,
    no_local: false,
    exclusive: false,
    nowait: false,
};

/// What a responder was asked: the name to answer to.
async fn asked(channel: &Channel, queue: &str) -> String {
    let request = take(channel, queue).await.unwrap();
    request.properties.reply_to().clone().unwrap().to_string()
}

#[tokio::test]
async fn a_reply_goes_straight_to_the_channel_that_asked() {
    let broker = Broker::shared();
    let (connection, responder) = (connect(&broker).await, channel(&broker).await);
    let requests = queue(&responder, "requests").await;
    let mut requesters = Vec::new();
    for number in 0..3 {
        let channel = channel_on(&connection).await;
        let consumer = consume(&channel, REPLIES, NO_ACK).await;
        let ask = BasicProperties::default()
            .with_reply_to(REPLIES.into())
            .with_correlation_id(number.to_string().into());
        publish_with(&channel, "", &requests, "question", ask.clone()).await;
        publish_with(&channel, "", &requests, "question", ask).await;
        sync(&channel).await;
        requesters.push((channel, consumer));
    }
    for number in 0..6 {
        let request = take(&responder, &requests).await.unwrap();
        let name = request.properties.reply_to().clone().unwrap();
        assert!(name.as_str().starts_with("amq.rabbitmq.reply-to."), "{name}");
        let back = BasicProperties::default().with_correlation_id(request.properties.correlation_id().clone().unwrap());
        let body = if number == 5 {
            "x".repeat(300_000)
        } else {
            format!("answer {number}")
        };
        publish_with(&responder, "", name.as_str(), body, back).await;
    }
    for (number, (_, consumer)) in requesters.iter_mut().enumerate() {
        for _ in 0..2 {
            let answer = next(consumer).await;
            assert_eq!(answer.properties.correlation_id().clone().unwrap().to_string(), number.to_string());
            assert_eq!((answer.redelivered, answer.exchange.as_str()), (false, ""));
            assert!(answer.routing_key.as_str().starts_with("amq.rabbitmq.reply-to."));
        }
    }
    // The consumer goes, and others are not told that it is gone: their messages are dropped.
    let (channel, consumer) = &requesters[0];
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    consume(channel, REPLIES, NO_ACK).await;
}

#[tokio::test]
async fn whether_somebody_waits_can_be_asked() {
    let broker = Broker::shared();
    let (requester, responder) = (channel(&broker).await, channel(&broker).await);
    let requests = queue(&responder, "requests").await;
    let _consumer = consume(&requester, REPLIES, NO_ACK).await;
    publish_with(
        &requester,
        "",
        &requests,
        "question",
        BasicProperties::default().with_reply_to(REPLIES.into()),
    )
    .await;
    sync(&requester).await;
    let name = asked(&responder, &requests).await;
    for passive in [true, false] {
        let options = QueueDeclareOptions {
            passive,
            ..Default::default()
        };
        for name in [&name[..], REPLIES] {
            let found = responder.queue_declare(name.into(), options, FieldTable::default()).await.unwrap();
            assert_eq!((found.message_count(), found.consumer_count()), (0, 1));
        }
    }
    requester.close(200, "OK".into()).await.unwrap();
    let gone = responder
        .queue_declare(name.as_str().into(), QueueDeclareOptions::default(), FieldTable::default())
        .await
        .unwrap_err();
    assert_eq!(code(&gone), Some(404));
}

#[test]
fn a_reply_to_somebody_who_is_gone_is_dropped_confirmed_and_returned_if_that_was_asked() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    let mut requester = Raw::login(broker.amqp());
    requester.open(2);
    let queue = unique("requests");
    raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    requester.call(&raw::consume(2, REPLIES, "mine", [false, true, false, false]), 60, 21);
    requester.send(&raw::publish(2, "", &queue, &[false, false]));
    let header = Writer::default().u16(60).u16(0).u64(0).u16(0x0200).short(REPLIES).0;
    requester.send(&raw::frame(HEADER, 2, &header));
    requester.call(&raw::method(2, 60, 10, |a| a.u32(0).u16(0).u8(0)), 60, 11);
    raw.call(&raw::method(1, 60, 70, |a| a.u16(0).short(&queue).u8(1)), 60, 71);
    let Event::Frame(request) = raw.next() else { panic!("no request") };
    let name = raw::Reader(&request.payload[14..]).short();
    let reply = |raw: &mut Raw, mandatory: bool| {
        raw.send(&raw::publish(1, "", &name, &[mandatory, false]));
        raw.send(&raw::header(1, 0));
    };
    reply(&mut raw, false);
    let delivery = requester.expect(60, 60);
    assert_eq!(delivery.channel, 2);
    assert_eq!(delivery.arguments().short(), "mine");
    assert!(matches!(requester.next(), Event::Frame(frame) if frame.kind == HEADER));
    assert_eq!(raw.expect(60, 80).arguments().u64(), 1);
    requester.call(&raw::method(2, 60, 30, |a| a.short("mine").bits(&[false])), 60, 31);
    reply(&mut raw, false);
    assert_eq!(raw.expect(60, 80).arguments().u64(), 2);
    reply(&mut raw, true);
    raw.expect(60, 50);
    assert!(matches!(raw.next(), Event::Frame(frame) if frame.kind == HEADER));
    assert_eq!(raw.expect(60, 80).arguments().u64(), 3);
}
