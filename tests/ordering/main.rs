//! What queues do by the headers of their messages, which RabbitMQ does not do, or only with a plugin: by lapin, on a broker that can be killed.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod filters;
mod groups;
mod keys;
mod pause;
#[path = "../support/mod.rs"]
mod support;
mod turns;

use support::lapin::*;
use support::{unique, within};

const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

/// A new durable queue with these arguments; its name.
async fn queue_with(channel: &Channel, arguments: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> String {
    let name = unique("ordered");
    let declared = channel.queue_declare(name.as_str().into(), DURABLE, table(arguments));
    within("queue.declare-ok", declared).await.unwrap();
    name
}

/// A channel in confirm mode.
async fn confirming(connection: &Connection) -> Channel {
    let channel = channel_on(connection).await;
    let selected = channel.confirm_select(ConfirmSelectOptions::default());
    within("confirm.select-ok", selected).await.unwrap();
    channel
}

/// Publishes a persistent message with a header; true if it was confirmed, false if it was refused.
async fn publish_headed(channel: &Channel, queue: &str, body: &str, name: &'static str, value: AMQPValue) -> bool {
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_headers(table([(name, value)]));
    let published = channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body.as_bytes(), properties);
    let confirm = within("a confirm", published.await.unwrap()).await.unwrap();
    confirm.is_ack()
}
