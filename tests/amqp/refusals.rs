//! Full queues that refuse messages: `basic.nack` for the publisher, and messages whose time runs out.

use crate::support::lapin::*;
use crate::support::raw::{self, HEADER, Raw, Writer};
use crate::support::{Broker, eventually, unique};

/// A queue with these arguments, which are integers and strings.
async fn limited(channel: &Channel, arguments: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> String {
    let name = unique("limited");
    let options = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    channel
        .queue_declare(name.as_str().into(), options, table(arguments))
        .await
        .unwrap();
    name
}

fn publish(raw: &mut Raw, channel: u16, exchange: &str, key: &str) {
    raw.send(&raw::publish(channel, exchange, key, &[false, false]));
    raw.send(&raw::frame(
        HEADER,
        channel,
        &Writer::default().u16(60).u16(0).u64(0).u16(0x1000).u8(2).0,
    ));
}

/// What was acked and what was nacked of this many publishes.
fn confirms(raw: &mut Raw, count: usize) -> (Vec<u64>, Vec<u64>) {
    let mut open: Vec<u64> = (1..=count as u64).collect();
    let (mut acked, mut nacked) = (Vec::new(), Vec::new());
    while !open.is_empty() {
        let raw::Event::Frame(frame) = raw.next() else {
            panic!("{open:?} are not confirmed")
        };
        let (tag, multiple) = (frame.arguments().u64(), frame.payload[12] & 1 == 1);
        let these = open.extract_if(.., |open| *open == tag || multiple && *open < tag);
        match frame.method() {
            Some((60, 80)) => acked.extend(these),
            Some((60, 120)) => nacked.extend(these),
            other => panic!("{other:?} in place of a confirm"),
        }
    }
    acked.sort_unstable();
    nacked.sort_unstable();
    (acked, nacked)
}

#[tokio::test]
async fn what_a_queue_refuses_is_nacked_and_the_rest_acked() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let small = limited(
        &channel,
        [("x-max-length", AMQPValue::LongInt(3)), ("x-overflow", string("reject-publish"))],
    )
    .await;
    let large = queue(&channel, "large").await;
    let exchange = exchange(&channel, ExchangeKind::Topic).await;
    bind(&channel, &small, &exchange, "both").await;
    bind(&channel, &large, &exchange, "#").await;

    let (address, name, both) = (broker.amqp(), small.clone(), exchange.clone());
    let got = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::login(address);
        raw.open(1);
        raw.open(2);
        raw.call(&raw::method(1, 85, 10, |a| a.bits(&[false])), 85, 11);
        for number in 1..=12 {
            publish(&mut raw, 1, &both, if number % 2 == 0 { "both" } else { "large" });
        }
        let got = confirms(&mut raw, 12);
        // without confirms it is dropped in silence
        publish(&mut raw, 2, &both, "both");
        raw.call(&raw::queue_declare(2, "", [false, false, true, true, false]), 50, 11);
        got
    })
    .await
    .unwrap();
    assert_eq!(
        got,
        (vec![1, 2, 3, 4, 5, 6, 7, 9, 11], vec![8, 10, 12]),
        "three of {name} are refused"
    );
    assert_eq!(counts(&connection, &small).await, Some((3, 0)));
    assert_eq!(
        counts(&connection, &large).await,
        Some((13, 0)),
        "another queue takes what one refuses"
    );
}

#[tokio::test]
async fn a_transaction_with_a_refused_message_fails() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let watcher = channel_on(&connection).await;
    let small = limited(
        &watcher,
        [("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", string("reject-publish"))],
    )
    .await;
    let channel = channel_on(&connection).await;
    channel.tx_select().await.unwrap();
    for body in ["one", "two"] {
        crate::support::lapin::publish(&channel, &small, body).await;
    }
    let error = channel.tx_commit().await.unwrap_err();
    assert_eq!(code(&error), Some(406), "{error}");
    assert!(error.to_string().contains("partial tx completion"), "{error}");
    assert_eq!(drain(&watcher, &small).await, ["one"]);
}

#[tokio::test]
async fn a_message_is_gone_when_its_own_time_or_the_queues_has_run_out() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let own = queue(&channel, "expiring").await;
    let queues = limited(&channel, [("x-message-ttl", AMQPValue::LongInt(100_000))]).await;
    let expires = |ms: &str| BasicProperties::default().with_expiration(ms.into());
    for queue in [&own, &queues] {
        for ms in ["1", "60000", "5"] {
            publish_with(&channel, "", queue, ms, expires(ms)).await;
        }
        publish_to(&channel, "", queue, "stays").await;
    }
    // RabbitMQ looks at the head only, and leaves what expires behind a longer lived one
    let left = if Raw::is_rabbitmq(broker.amqp()) { 3 } else { 2 };
    for queue in [&own, &queues] {
        eventually("the end of what expires", async || {
            counts(&connection, queue).await.filter(|(ready, _)| *ready == left)
        })
        .await;
        let found = take(&channel, queue).await.unwrap();
        assert_eq!(text(&found), "60000");
        assert_eq!(found.properties.expiration().clone().unwrap().as_str(), "60000");
        let rest = drain(&channel, queue).await;
        assert_eq!(rest, ["stays"], "{queue}");
    }
}
