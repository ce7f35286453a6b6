//! What happens to messages at a time of their own, on a broker that can be killed: expiry behind other messages, delays, and what of it outlives
//! a crash. These are things that RabbitMQ does not do, or only with a plugin.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::{Duration, Instant};

use support::lapin::*;
use support::{Broker, eventually, unique, within};

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

fn int(n: i32) -> AMQPValue {
    AMQPValue::LongInt(n)
}

async fn durable_with(channel: &Channel, name: &str, arguments: FieldTable) {
    channel.queue_declare(name.into(), DURABLE, arguments).await.unwrap();
}

fn to(queue: &str, more: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> FieldTable {
    let to = [("x-dead-letter-exchange", string("")), ("x-dead-letter-routing-key", string(queue))];
    table(to.into_iter().chain(more))
}

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

fn expiring(ms: u32) -> BasicProperties {
    persistent().with_expiration(ms.to_string().into())
}

async fn confirmed(channel: &Channel, exchange: &str, key: &str, body: &str, properties: BasicProperties) {
    let published = channel.basic_publish(
        exchange.into(),
        key.into(),
        BasicPublishOptions::default(),
        body.as_bytes(),
        properties,
    );
    let confirmation = within("a confirm", published.await.unwrap()).await.unwrap();
    assert_eq!(confirmation, lapin::Confirmation::Ack(None));
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = channel_on(connection).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

/// How late a dead letter may come on an idle machine. A busy one gets several tries.
const LATE_MAX: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_message_expires_on_time_behind_one_that_stays() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let dead = queue(&channel, "dead").await;
    let source = unique("source");
    durable_with(&channel, &source, to(&dead, [])).await;
    let mut letters = consume(
        &channel,
        &dead,
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    publish_with(&channel, "", &source, "stays", expiring(600_000)).await;
    let mut least = Duration::MAX;
    for _ in 0..20 {
        let ttl = Duration::from_millis(30);
        let published = Instant::now();
        publish_with(&channel, "", &source, "goes", expiring(ttl.as_millis() as u32)).await;
        assert_eq!(text(&next(&mut letters).await), "goes");
        let took = published.elapsed();
        assert!(took >= ttl - Duration::from_millis(1), "{took:?} is too early");
        least = least.min(took - ttl);
        if least < LATE_MAX {
            break;
        }
    }
    println!("late by {least:?}");
    assert!(least < LATE_MAX, "late by {least:?}");
    assert_eq!(drain(&channel, &source).await, ["stays"]);
}

#[tokio::test]
async fn what_expires_while_the_broker_is_down_is_dead_when_it_is_back() {
    let Some(mut broker) = Broker::own() else { return };
    let (source, dead) = ("source", "dead");
    {
        let channel = confirming(&connect(&broker).await).await;
        durable_with(&channel, dead, FieldTable::default()).await;
        durable_with(&channel, source, to(dead, [("x-message-ttl", int(600_000))])).await;
        confirmed(&channel, "", source, "stays", persistent()).await;
        confirmed(&channel, "", source, "expires", expiring(500)).await;
        confirmed(&channel, "", source, "stays too", expiring(600_000)).await;
        broker.kill();
    }
    // Its time passes while nobody is there to see it.
    tokio::time::sleep(Duration::from_millis(600)).await;
    broker.restart();
    let channel = channel(&broker).await;
    let letter = eventually("the letter", async || take(&channel, dead).await).await;
    assert_eq!(text(&letter), "expires");
    assert_eq!(drain(&channel, source).await, ["stays", "stays too"]);
}

#[tokio::test]
async fn priorities_outlive_a_kill() {
    let Some(mut broker) = Broker::own() else { return };
    {
        let channel = confirming(&connect(&broker).await).await;
        durable_with(&channel, "ranked", table([("x-max-priority", AMQPValue::ShortShortUInt(9))])).await;
        for number in 0..100_u8 {
            confirmed(&channel, "", "ranked", &number.to_string(), persistent().with_priority(number % 12)).await;
        }
        for _ in 0..10 {
            take(&channel, "ranked").await.unwrap();
        }
        // The answer to this is durable, and so is what was taken before.
        durable_with(&channel, "mark", FieldTable::default()).await;
        confirmed(&channel, "", "mark", "m", persistent()).await;
        broker.kill();
    }
    broker.restart();
    let channel = channel(&broker).await;
    let mut expected: Vec<u8> = (0..100).collect();
    expected.sort_by_key(|number| std::cmp::Reverse((number % 12).min(9)));
    let expected: Vec<_> = expected[10..].iter().map(ToString::to_string).collect();
    assert_eq!(drain(&channel, "ranked").await, expected);
}

async fn delayed_exchange(channel: &Channel, name: &str) {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let kind = ExchangeKind::Custom("x-delayed-message".into());
    let arguments = table([("x-delayed-type", string("direct"))]);
    channel.exchange_declare(name.into(), kind, durable, arguments).await.unwrap();
}

fn delayed(ms: i32) -> BasicProperties {
    persistent().with_headers(table([("x-delay", int(ms))]))
}

#[tokio::test]
async fn a_delayed_message_goes_on_when_its_time_has_come() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    delayed_exchange(&channel, "later").await;
    let target = queue(&channel, "target").await;
    bind(&channel, &target, "later", "k").await;
    let mut deliveries = consume(
        &channel,
        &target,
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    let published = Instant::now();
    for (body, delay) in [("third", 200), ("second", 100), ("never", 600_000), ("first", 0)] {
        publish_with(&channel, "later", "k", body, delayed(delay)).await;
    }
    publish_with(&channel, "later", "elsewhere", "nowhere", delayed(50)).await;
    for (body, delay) in [("first", 0_u64), ("second", 100), ("third", 200)] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(text(&delivery), body);
        // The broker counts whole milliseconds.
        assert!(
            published.elapsed() >= Duration::from_millis(delay.saturating_sub(1)),
            "{body} is too early"
        );
        let headers = delivery.properties.headers().clone().unwrap();
        assert_eq!(headers.inner()["x-delay"], int(-(delay as i32)));
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("later", "k"));
    }
}

#[tokio::test]
async fn delayed_messages_outlive_a_kill() {
    let Some(mut broker) = Broker::own() else { return };
    {
        let channel = confirming(&connect(&broker).await).await;
        delayed_exchange(&channel, "later").await;
        durable_with(&channel, "target", FieldTable::default()).await;
        bind(&channel, "target", "later", "k").await;
        for (body, delay) in [("second", 1500), ("never", 600_000), ("first", 300)] {
            confirmed(&channel, "later", "k", body, delayed(delay)).await;
        }
        broker.kill();
    }
    broker.restart();
    let channel = channel(&broker).await;
    let mut deliveries = consume(
        &channel,
        "target",
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    assert_eq!(bodies(&mut deliveries, 2).await, ["first", "second"]);
}

#[tokio::test]
async fn a_message_that_comes_back_waits_before_it_is_delivered_again() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let source = unique("retried");
    let arguments = [
        ("x-delayed-retry-type", string("all")),
        ("x-delayed-retry-min", int(50)),
        ("x-delayed-retry-max", int(100)),
    ];
    durable_with(&channel, &source, table(arguments)).await;
    let mut deliveries = consume(&channel, &source, BasicConsumeOptions::default()).await;
    publish(&channel, &source, "again").await;
    let mut delivery = next(&mut deliveries).await;
    // RabbitMQ 4.3: the minimum times the number of returns, at most the maximum.
    for at_least in [50, 100, 100] {
        let returned = Instant::now();
        delivery.nack(REQUEUE).await.unwrap();
        publish(&channel, &source, "other").await;
        let other = next(&mut deliveries).await;
        assert_eq!(text(&other), "other", "what waits is in nobody's way");
        other.ack(ACK).await.unwrap();
        delivery = next(&mut deliveries).await;
        assert_eq!((text(&delivery).as_str(), delivery.redelivered), ("again", true));
        assert!(
            returned.elapsed() >= Duration::from_millis(at_least - 1),
            "{:?}",
            returned.elapsed()
        );
    }
}

#[tokio::test]
async fn a_letter_that_must_arrive_waits_for_a_queue() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let (source, dead) = (unique("source"), unique("dead"));
    let sure = [
        ("x-queue-type", string("quorum")),
        ("x-overflow", string("reject-publish")),
        ("x-dead-letter-strategy", string("at-least-once")),
    ];
    durable_with(&channel, &source, to(&dead, sure)).await;
    publish_with(&channel, "", &source, "sure", persistent()).await;
    let message = eventually("the message", async || get(&channel, &source, BasicGetOptions::default()).await).await;
    message.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    sync(&channel).await;
    assert_eq!(counts(&connection, &source).await, Some((0, 0)));
    durable_with(&channel, &dead, FieldTable::default()).await;
    let letter = eventually("the letter", async || take(&channel, &dead).await).await;
    assert_eq!(text(&letter), "sure");
}

#[tokio::test]
async fn a_letter_that_must_arrive_waits_for_room() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let (source, dead) = (unique("source"), unique("dead"));
    let full = [("x-max-length", int(3)), ("x-overflow", string("reject-publish"))];
    durable_with(&channel, &dead, table(full)).await;
    let sure = [
        ("x-queue-type", string("quorum")),
        ("x-overflow", string("reject-publish")),
        ("x-dead-letter-strategy", string("at-least-once")),
    ];
    durable_with(&channel, &source, to(&dead, sure)).await;
    let mut deliveries = consume(&channel, &source, BasicConsumeOptions::default()).await;
    for number in 0..10 {
        publish_with(&channel, "", &source, number.to_string(), persistent()).await;
    }
    for _ in 0..10 {
        next(&mut deliveries)
            .await
            .reject(BasicRejectOptions { requeue: false })
            .await
            .unwrap();
    }
    // Those that found room are not offered again, and the others until they find it.
    let mut arrived = Vec::new();
    while arrived.len() < 10 {
        arrived.push(text(&eventually("a letter", async || take(&channel, &dead).await).await));
    }
    arrived.sort_unstable();
    assert_eq!(arrived, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(drain(&channel, &dead).await, [""; 0]);
}

#[tokio::test]
async fn a_backlog_larger_than_memory_that_expires_goes_on_whole() {
    let Some(broker) = Broker::own_with(&["--memory", "16"]) else {
        return;
    };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    durable_with(&channel, "dead", FieldTable::default()).await;
    durable_with(&channel, "source", to("dead", [("x-message-ttl", int(3000))])).await;
    let count = 20_000_u32;
    let body = |number: u32| [&number.to_be_bytes()[..], &[7; 1500]].concat();
    for number in 0..count {
        publish_with(&channel, "", "source", body(number), persistent()).await;
    }
    until_ready(&connection, "dead", count).await;
    let no_ack = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let mut letters = consume(&channel, "dead", no_ack).await;
    // What is due and on disk comes after what is due and in memory: so they are not in order.
    let mut numbers = Vec::new();
    for _ in 0..count {
        let letter = next(&mut letters).await;
        numbers.push(u32::from_be_bytes(letter.data[..4].try_into().unwrap()));
        assert_eq!(letter.data, body(numbers[numbers.len() - 1]));
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..count), "each once");
    assert_eq!(counts(&connection, "source").await, Some((0, 0)));
}
