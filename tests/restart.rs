//! What outlives a restart and what does not: topology, messages, a backlog that is larger than memory. The broker is killed, not stopped, unless
//! the test says so: an answer that has been given is durable.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use lapin::Confirmation;
use stoa_client::{ConsumerOptions, Message, ProducerOptions};
use support::lapin::*;
use support::{Broker, within};

const DURABLE_QUEUE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};
const DURABLE_EXCHANGE: ExchangeDeclareOptions = ExchangeDeclareOptions {
    passive: false,
    durable: true,
    auto_delete: false,
    internal: false,
    nowait: false,
};

async fn durable_exchange(channel: &Channel, name: &str, kind: ExchangeKind) {
    channel
        .exchange_declare(name.into(), kind, DURABLE_EXCHANGE, FieldTable::default())
        .await
        .unwrap();
}

async fn confirmed(channel: &Channel, exchange: &str, key: &str, body: &str, delivery_mode: u8) {
    let properties = BasicProperties::default().with_delivery_mode(delivery_mode);
    let published = channel.basic_publish(
        exchange.into(),
        key.into(),
        BasicPublishOptions::default(),
        body.as_bytes(),
        properties,
    );
    let confirmation = within("a confirm", published.await.unwrap()).await.unwrap();
    assert_eq!(confirmation, Confirmation::Ack(None));
}

/// Durable things of every kind, some of them deleted again, and things that are not durable.
async fn declare_everything(channel: &Channel) {
    for queue in ["direct", "topic", "headers", "through"] {
        declare(channel, queue, DURABLE_QUEUE).await;
    }
    durable_exchange(channel, "d", ExchangeKind::Direct).await;
    durable_exchange(channel, "t", ExchangeKind::Topic).await;
    durable_exchange(channel, "h", ExchangeKind::Headers).await;
    durable_exchange(channel, "f", ExchangeKind::Fanout).await;
    bind(channel, "direct", "d", "k").await;
    bind(channel, "direct", "d", "unbound").await;
    bind(channel, "topic", "t", "a.*.#").await;
    bind_with(
        channel,
        "headers",
        "h",
        "",
        table([("x-match", string("any")), ("a", AMQPValue::LongInt(1))]),
    )
    .await;
    bind(channel, "through", "f", "").await;
    channel
        .exchange_bind("f".into(), "t".into(), "#.end".into(), Default::default(), FieldTable::default())
        .await
        .unwrap();
    channel
        .queue_unbind("direct".into(), "d".into(), "unbound".into(), FieldTable::default())
        .await
        .unwrap();

    declare(channel, "deleted", DURABLE_QUEUE).await;
    durable_exchange(channel, "deleted", ExchangeKind::Fanout).await;
    channel.queue_delete("deleted".into(), QueueDeleteOptions::default()).await.unwrap();
    channel
        .exchange_delete("deleted".into(), ExchangeDeleteOptions::default())
        .await
        .unwrap();
    declare(channel, "transient", QueueDeclareOptions::default()).await;
    declare(
        channel,
        "exclusive",
        QueueDeclareOptions {
            exclusive: true,
            ..DURABLE_QUEUE
        },
    )
    .await;
    channel
        .exchange_declare("transient".into(), ExchangeKind::Direct, Default::default(), FieldTable::default())
        .await
        .unwrap();
    bind(channel, "direct", "transient", "k").await;
    // the answer to this is durable, so is all that was asked before it
    declare(channel, "last", DURABLE_QUEUE).await;
}

#[tokio::test]
async fn durable_topology_outlives_a_kill_and_the_rest_does_not() {
    let Some(mut broker) = Broker::own() else { return };
    declare_everything(&channel(&broker).await).await;
    broker.kill();
    for _ in 0..2 {
        broker.restart();
        let connection = connect(&broker).await;
        for queue in ["deleted", "transient", "exclusive"] {
            assert_eq!(counts(&connection, queue).await, None, "the queue {queue} is back");
        }
        for exchange in ["deleted", "transient"] {
            let passive = ExchangeDeclareOptions {
                passive: true,
                ..Default::default()
            };
            let channel = channel_on(&connection).await;
            let found = channel
                .exchange_declare(exchange.into(), ExchangeKind::Fanout, passive, FieldTable::default())
                .await;
            assert!(found.is_err(), "the exchange {exchange} is back");
        }
        let channel = channel_on(&connection).await;
        for (exchange, key) in [
            ("d", "k"),
            ("d", "unbound"),
            ("t", "a.b"),
            ("t", "x.end"),
            ("t", "a.b.end"),
            ("t", "none"),
        ] {
            publish_to(&channel, exchange, key, format!("{exchange} {key}")).await;
        }
        for (number, headers) in [table([("a", AMQPValue::LongInt(1))]), table([("a", AMQPValue::LongInt(2))])]
            .into_iter()
            .enumerate()
        {
            let properties = BasicProperties::default().with_headers(headers);
            publish_with(&channel, "h", "", number.to_string(), properties).await;
        }
        let expected: [(&str, &[&str]); 5] = [
            ("direct", &["d k"]),
            ("topic", &["t a.b", "t a.b.end"]),
            ("headers", &["0"]),
            ("through", &["t x.end", "t a.b.end"]),
            ("last", &[]),
        ];
        for (queue, bodies) in expected {
            assert_eq!(drain(&channel, queue).await, bodies, "in {queue}");
        }
        connection.close(200, "OK".into()).await.unwrap();
    }
}

#[tokio::test]
async fn persistent_messages_outlive_a_kill_and_settled_or_transient_ones_do_not() {
    let Some(mut broker) = Broker::own() else { return };
    {
        let connection = connect(&broker).await;
        let channel = channel_on(&connection).await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        declare(&channel, "durable", DURABLE_QUEUE).await;
        declare(&channel, "purged", DURABLE_QUEUE).await;
        declare(&channel, "transient", QueueDeclareOptions::default()).await;
        for (body, delivery_mode) in [("1", 2), ("2", 1), ("3", 2), ("4", 2), ("5", 2), ("6", 1), ("7", 2)] {
            confirmed(&channel, "", "durable", body, delivery_mode).await;
            confirmed(&channel, "", "purged", body, 2).await;
            confirmed(&channel, "", "transient", body, 2).await;
        }
        let mut taken = Vec::new();
        for _ in 0..5 {
            taken.push(get(&channel, "durable", BasicGetOptions::default()).await.unwrap());
        }
        taken[2].ack(ACK).await.unwrap();
        taken[3].reject(BasicRejectOptions { requeue: false }).await.unwrap();
        taken[4].nack(REQUEUE).await.unwrap();
        assert_eq!(channel.queue_purge("purged".into(), QueuePurgeOptions::default()).await.unwrap(), 7);
        confirmed(&channel, "", "purged", "after the purge", 2).await;
        broker.kill();
    }
    for _ in 0..2 {
        broker.restart();
        let connection = connect(&broker).await;
        let channel = channel_on(&connection).await;
        assert_eq!(
            look(&channel, "durable").await,
            [("1", true), ("5", true), ("7", true)].map(|(body, again)| (body.to_owned(), again))
        );
        assert_eq!(look(&channel, "purged").await.len(), 1);
        assert_eq!(counts(&connection, "transient").await, None);
        broker.kill();
    }
}

/// Bodies, and whether they are marked redelivered, of all that a queue has; they go back when the channel closes.
async fn look(channel: &Channel, queue: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    while let Some(message) = get(channel, queue, BasicGetOptions::default()).await {
        found.push((text(&message), message.redelivered));
    }
    found
}

#[tokio::test]
async fn a_stop_on_request_keeps_everything_and_is_quick() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    declare(&channel, "kept", DURABLE_QUEUE).await;
    let persistent = BasicProperties::default().with_delivery_mode(2);
    for number in 0..1000 {
        publish_with(&channel, "", "kept", number.to_string(), persistent.clone()).await;
    }
    until_ready(&connection, "kept", 1000).await;
    let (status, said) = broker.process().terminate();
    assert!(status.success(), "{status}: {said}");
    broker.restart();
    let channel = support::lapin::channel(&broker).await;
    let expected: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(
        drain(&channel, "kept").await,
        expected,
        "what was not confirmed yet is kept as well when there is time to"
    );
}

/// Octets of a body, and how many of them make a backlog of several times the memory that the broker may use for messages.
const BODY: usize = 8 << 10;
const BACKLOG: usize = 16_000;
const BACKLOG_MIB: usize = (BACKLOG * BODY) >> 20;
/// What the broker may have in memory with it: 16 MiB of messages, and the buffers of its store.
const RESIDENT_KIB_MAX: u64 = 100 << 10;

#[tokio::test]
async fn a_backlog_larger_than_memory_is_kept_on_disk_and_comes_in_order() {
    let Some(mut broker) = Broker::own_with(&["--memory", "16"]) else {
        return;
    };
    {
        let connection = within("the connection", stoa_client::Connection::open(&broker.uri()))
            .await
            .unwrap();
        connection.declare_queue(&stoa_client::Queue::durable("backlog")).await.unwrap();
        let mut producer = connection.producer_with(ProducerOptions { window: 500 }).await.unwrap();
        for first in (0..BACKLOG).step_by(1000) {
            let messages: Vec<_> = (first..first + 1000)
                .map(|number| Message::new("", "backlog", body(number)))
                .collect();
            within("the confirms of a batch", producer.publish_batch(&messages)).await.unwrap();
        }
    }
    let resident = broker.process().resident_kib();
    println!("resident with {} MiB queued: {resident} KiB", BACKLOG_MIB);
    assert!(
        resident < RESIDENT_KIB_MAX,
        "{resident} KiB in memory with {} MiB queued",
        BACKLOG_MIB
    );
    broker.restart();
    let connection = within("the connection", stoa_client::Connection::open(&broker.uri()))
        .await
        .unwrap();
    let mut consumer = connection
        .consumer(
            "backlog",
            ConsumerOptions {
                prefetch: 200,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    for number in 0..BACKLOG {
        let delivery = within("a delivery", consumer.next()).await.unwrap().unwrap();
        assert!(delivery.body() == body(number), "number {number} is not what was published");
        delivery.ack().await.unwrap();
    }
    drop(consumer);
    let connection = connect(&broker).await;
    until_ready(&connection, "backlog", 0).await;
}

fn body(number: usize) -> Vec<u8> {
    let mut body = vec![number as u8; BODY];
    body[..8].copy_from_slice(&number.to_be_bytes());
    body
}
