//! Publisher confirms and returned messages, frame by frame.

use crate::support::lapin::{self as amqp, BasicProperties, ExchangeKind};
use crate::support::raw::{self, BODY, Event, Frame, HEADER, Raw, Writer};
use crate::support::{Broker, unique};

/// A connection with channel 1 open in confirm mode.
fn confirming(broker: &Broker) -> Raw {
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    raw
}

fn publish(raw: &mut Raw, exchange: &str, key: &str, mandatory: bool, delivery_mode: u8, body: &[u8]) {
    raw.send(&raw::publish(1, exchange, key, &[mandatory, false]));
    let header = Writer::default()
        .u16(60)
        .u16(0)
        .u64(body.len() as u64)
        .u16(0x1000)
        .u8(delivery_mode);
    raw.send(&raw::frame(HEADER, 1, &header.0));
    if !body.is_empty() {
        raw.send(&raw::frame(BODY, 1, body));
    }
}

/// Reads acks until all of the tags up to `last` are confirmed, each once; whatever else comes is a mistake.
fn expect_confirms(raw: &mut Raw, last: u64) {
    let mut confirmed = vec![false; last as usize];
    while confirmed.contains(&false) {
        let ack = raw.expect(60, 80);
        let (tag, multiple) = (ack.arguments().u64(), ack.payload[12] == 1);
        let first = if multiple { 1 } else { tag };
        assert!((1..=last).contains(&tag), "a confirm for {tag}, which was not published");
        for tag in first..=tag {
            let before = std::mem::replace(&mut confirmed[tag as usize - 1], true);
            assert!(!before || (multiple && tag != ack.arguments().u64()), "{tag} was confirmed twice");
        }
    }
}

#[test]
fn every_publish_is_confirmed_once() {
    let broker = Broker::shared();
    let mut raw = confirming(&broker);
    let queue = unique("confirmed");
    raw.call(&raw::queue_declare(1, &queue, [false, true, false, false, false]), 50, 11);
    for number in 0..500_u32 {
        let key = if number % 7 == 0 { "" } else { &queue };
        publish(&mut raw, "", key, false, if number % 3 == 0 { 1 } else { 2 }, &number.to_be_bytes());
    }
    expect_confirms(&mut raw, 500);
    publish(&mut raw, "", &queue, false, 2, b"one more");
    let ack = raw.expect(60, 80);
    assert_eq!(ack.arguments().u64(), 501);
    let purged = raw.call(&raw::method(1, 50, 30, |a| a.u16(0).short(&queue).u8(0)), 50, 31);
    assert_eq!(purged.arguments().u32(), 500 - 72 + 1);
}

#[test]
fn what_cannot_be_routed_comes_back_before_its_confirm() {
    let broker = Broker::shared();
    let mut raw = confirming(&broker);
    let queue = unique("mandatory");
    raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
    publish(&mut raw, "amq.direct", "nowhere", true, 2, b"come back");
    let returned = raw.expect(60, 50);
    let mut arguments = returned.arguments();
    let (code, text, exchange, key) = (arguments.u16(), arguments.short(), arguments.short(), arguments.short());
    assert_eq!(
        (code, text.as_str(), exchange.as_str(), key.as_str()),
        (312, "NO_ROUTE", "amq.direct", "nowhere")
    );
    let header = Writer::default().u16(60).u16(0).u64(9).u16(0x1000).u8(2).0;
    assert_eq!(
        raw.next(),
        Event::Frame(Frame {
            kind: HEADER,
            channel: 1,
            payload: header
        })
    );
    assert_eq!(
        raw.next(),
        Event::Frame(Frame {
            kind: BODY,
            channel: 1,
            payload: b"come back".to_vec()
        })
    );
    assert_eq!(raw.expect(60, 80).arguments().u64(), 1);
    publish(&mut raw, "", &queue, true, 2, b"stay");
    assert_eq!(
        raw.expect(60, 80).arguments().u64(),
        2,
        "a message that is routed does not come back"
    );
    publish(&mut raw, "amq.direct", "nowhere", false, 2, b"vanish");
    assert_eq!(raw.expect(60, 80).arguments().u64(), 3, "nor does one that nobody insists on");
}

#[test]
fn an_empty_and_a_large_message_come_back_whole() {
    let broker = Broker::shared();
    let mut raw = Raw::login_tuned(broker.amqp(), Some(4096));
    raw.open(1);
    publish(&mut raw, "", "nowhere", true, 1, b"");
    raw.expect(60, 50);
    assert!(matches!(raw.next(), Event::Frame(Frame { kind: HEADER, .. })));
    raw.send(&raw::publish(1, "", "nowhere", &[true, false]));
    raw.send(&raw::header(1, 8000));
    for part in [[1; 4000], [2; 4000]] {
        raw.send(&raw::frame(BODY, 1, &part));
    }
    raw.expect(60, 50);
    assert!(matches!(raw.next(), Event::Frame(Frame { kind: HEADER, .. })));
    let mut body = Vec::new();
    while body.len() < 8000 {
        let Event::Frame(Frame { kind: BODY, payload, .. }) = raw.next() else {
            panic!("expected a body")
        };
        assert!(payload.len() <= 4096 - 8, "a frame above frame_max");
        body.extend(payload);
    }
    assert!(body[..4000].iter().all(|octet| *octet == 1) && body[4000..].iter().all(|octet| *octet == 2));
}

#[test]
fn a_publish_that_closes_the_channel_is_not_confirmed() {
    let broker = Broker::shared();
    let mut raw = confirming(&broker);
    let queue = unique("before");
    raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
    publish(&mut raw, "", &queue, false, 1, b"1");
    expect_confirms(&mut raw, 1);
    publish(&mut raw, &unique("no-exchange"), "", false, 1, b"2");
    publish(&mut raw, "", &queue, false, 1, b"3");
    assert_eq!(raw.expect(20, 40).arguments().u16(), 404);
    raw.send(&raw::method(1, 20, 41, |a| a));
    raw.open(1);
    let declared = raw.call(&raw::queue_declare(1, &queue, [false; 5]), 50, 11);
    let mut arguments = declared.arguments();
    arguments.short();
    assert_eq!(arguments.u32(), 1, "what came after the mistake is not taken");
}

#[test]
fn confirm_select_may_come_again_and_without_an_answer() {
    let broker = Broker::shared();
    let mut raw = Raw::login(broker.amqp());
    raw.open(1);
    raw.send(&raw::method(1, 85, 10, |a| a.bits(&[true])));
    publish(&mut raw, "", "nowhere", false, 1, b"");
    assert_eq!(raw.expect(60, 80).arguments().u64(), 1);
    raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
    publish(&mut raw, "", "nowhere", false, 1, b"");
    assert_eq!(raw.expect(60, 80).arguments().u64(), 2);
}

#[tokio::test]
async fn a_confirm_waits_for_all_queues() {
    let broker = Broker::shared();
    let connection = amqp::connect(&broker).await;
    let channel = amqp::channel_on(&connection).await;
    channel.confirm_select(amqp::ConfirmSelectOptions::default()).await.unwrap();
    let exchange = amqp::exchange(&channel, ExchangeKind::Fanout).await;
    let mut queues = Vec::new();
    for at in 0..20 {
        let queue = if at % 2 == 0 {
            amqp::durable_queue(&channel, "all").await
        } else {
            amqp::queue(&channel, "all").await
        };
        amqp::bind(&channel, &queue, &exchange, "").await;
        queues.push(queue);
    }
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let published = channel
        .basic_publish(exchange.as_str().into(), "".into(), Default::default(), b"m", persistent)
        .await
        .unwrap();
    assert!(published.await.unwrap().is_ack());
    let other = amqp::channel(&broker).await;
    for queue in &queues {
        assert_eq!(
            amqp::drain(&other, queue).await,
            ["m"],
            "when the confirm is there, so is the message"
        );
    }
}
