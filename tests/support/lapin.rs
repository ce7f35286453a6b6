//! lapin in short words: what tests do again and again, with a deadline on everything that is waited for.

pub use lapin::message::Delivery;
pub use lapin::options::*;
pub use lapin::types::{AMQPValue, FieldTable};
pub use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};

use futures_util::StreamExt;

use super::{Broker, eventually, unique, within};

pub const ACK: BasicAckOptions = BasicAckOptions { multiple: false };
pub const REQUEUE: BasicNackOptions = BasicNackOptions {
    multiple: false,
    requeue: true,
};

pub async fn connect(broker: &Broker) -> Connection {
    connect_to(&broker.uri()).await
}

pub async fn connect_to(uri: &str) -> Connection {
    within("the connection", Connection::connect(uri, ConnectionProperties::default()))
        .await
        .unwrap()
}

/// A connection and a channel on it; the connection lives as long as the channel.
pub async fn channel(broker: &Broker) -> Channel {
    channel_on(&connect(broker).await).await
}

pub async fn channel_on(connection: &Connection) -> Channel {
    within("the channel", connection.create_channel()).await.unwrap()
}

/// A new queue, not durable, not exclusive; its name.
pub async fn queue(channel: &Channel, stem: &str) -> String {
    declare(channel, &unique(stem), QueueDeclareOptions::default()).await
}

pub async fn durable_queue(channel: &Channel, stem: &str) -> String {
    declare(
        channel,
        &unique(stem),
        QueueDeclareOptions {
            durable: true,
            ..Default::default()
        },
    )
    .await
}

pub async fn declare(channel: &Channel, name: &str, options: QueueDeclareOptions) -> String {
    let declared = within(
        "queue.declare-ok",
        channel.queue_declare(name.into(), options, FieldTable::default()),
    )
    .await
    .unwrap();
    declared.name().to_string()
}

/// A new exchange, not durable; its name.
pub async fn exchange(channel: &Channel, kind: ExchangeKind) -> String {
    let name = unique("exchange");
    let options = ExchangeDeclareOptions::default();
    within(
        "exchange.declare-ok",
        channel.exchange_declare(name.as_str().into(), kind, options, FieldTable::default()),
    )
    .await
    .unwrap();
    name
}

pub async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    bind_with(channel, queue, exchange, key, FieldTable::default()).await;
}

pub async fn bind_with(channel: &Channel, queue: &str, exchange: &str, key: &str, arguments: FieldTable) {
    let bound = channel.queue_bind(queue.into(), exchange.into(), key.into(), QueueBindOptions::default(), arguments);
    within("queue.bind-ok", bound).await.unwrap();
}

/// Messages ready and consumers, by a passive declaration. None: there is no such queue (and a channel of its own has found out).
pub async fn counts(connection: &Connection, queue: &str) -> Option<(u32, u32)> {
    let channel = channel_on(connection).await;
    let options = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let declared = within(
        "queue.declare-ok",
        channel.queue_declare(queue.into(), options, FieldTable::default()),
    )
    .await
    .ok()?;
    channel.close(200, "OK".into()).await.unwrap();
    Some((declared.message_count(), declared.consumer_count()))
}

/// Waits until the queue has so many messages ready.
pub async fn until_ready(connection: &Connection, queue: &str, messages: u32) {
    let what = format!("{messages} ready messages in {queue}");
    eventually(&what, async || {
        counts(connection, queue).await.filter(|(ready, _)| *ready == messages)
    })
    .await;
}

/// Publishes with the default exchange, without waiting for a confirm.
pub async fn publish(channel: &Channel, queue: &str, body: impl AsRef<[u8]>) {
    publish_to(channel, "", queue, body).await;
}

pub async fn publish_to(channel: &Channel, exchange: &str, key: &str, body: impl AsRef<[u8]>) {
    publish_with(channel, exchange, key, body, BasicProperties::default()).await;
}

pub async fn publish_with(channel: &Channel, exchange: &str, key: &str, body: impl AsRef<[u8]>, properties: BasicProperties) {
    let published = channel.basic_publish(
        exchange.into(),
        key.into(),
        BasicPublishOptions::default(),
        body.as_ref(),
        properties,
    );
    drop(within("room for a publish", published).await.unwrap());
}

pub async fn consume(channel: &Channel, queue: &str, options: BasicConsumeOptions) -> Consumer {
    within(
        "basic.consume-ok",
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()),
    )
    .await
    .unwrap()
}

pub async fn prefetch(channel: &Channel, count: u16) {
    within("basic.qos-ok", channel.basic_qos(count, BasicQosOptions::default()))
        .await
        .unwrap();
}

/// The next delivery.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    within("a delivery", consumer.next())
        .await
        .expect("the consumer was cancelled")
        .unwrap()
}

/// The bodies of the next so many deliveries, as text.
pub async fn bodies(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(text(&next(consumer).await));
    }
    bodies
}

/// basic.get, without acknowledgement.
pub async fn take(channel: &Channel, queue: &str) -> Option<Delivery> {
    get(channel, queue, BasicGetOptions { no_ack: true }).await
}

pub async fn get(channel: &Channel, queue: &str, options: BasicGetOptions) -> Option<Delivery> {
    within("basic.get-ok", channel.basic_get(queue.into(), options))
        .await
        .unwrap()
        .map(|message| message.delivery)
}

/// All bodies that the queue has, taken without acknowledgement.
pub async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some(message) = take(channel, queue).await {
        bodies.push(text(&message));
    }
    bodies
}

/// Whatever was sent on the channel before this has been carried out when it returns.
pub async fn sync(channel: &Channel) {
    prefetch(channel, 0).await;
}

pub fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}

/// The reply code, when it is a broker's refusal.
pub fn code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

pub fn table(entries: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}

pub fn string(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
