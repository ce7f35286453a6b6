//! The shared data space by a client that knows nothing of it: lapin, with stock calls only.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod client;
mod lifetimes;
mod operations;
mod refusals;
#[path = "../support/mod.rs"]
mod support;

use futures_util::StreamExt;
use support::lapin::*;
use support::{unique, within};

/// A space of its own; its name.
async fn space(channel: &Channel) -> String {
    let name = unique("space");
    declare_as(channel, &name, [("x-queue-type", string("space"))]).await.unwrap();
    name
}

async fn declare_as(
    channel: &Channel,
    name: &str,
    arguments: impl IntoIterator<Item = (&'static str, AMQPValue)>,
) -> Result<(), lapin::Error> {
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let declared = channel.queue_declare(name.into(), options, table(arguments));
    within("queue.declare-ok", declared).await.map(drop)
}

/// A view of a space; its name.
async fn view(channel: &Channel, space: &str, template: &str, mode: &str) -> String {
    let name = unique("view");
    let options = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    let arguments = table([
        ("x-queue-type", string("view")),
        ("x-space", string(space)),
        ("x-template", string(template)),
        ("x-mode", string(mode)),
    ]);
    let declared = channel.queue_declare(name.as_str().into(), options, arguments);
    within("queue.declare-ok", declared).await.unwrap();
    name
}

/// Linda's out: a tuple in JSON, persistent and confirmed. True if it was taken in.
async fn out(channel: &Channel, space: &str, tuple: &str) -> bool {
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into());
    let published = channel.basic_publish(
        "".into(),
        space.into(),
        BasicPublishOptions::default(),
        tuple.as_bytes(),
        properties,
    );
    within("a confirm", published.await.unwrap()).await.unwrap().is_ack()
}

/// A channel in confirm mode.
async fn confirming(connection: &Connection) -> Channel {
    let channel = channel_on(connection).await;
    let selected = channel.confirm_select(ConfirmSelectOptions::default());
    within("confirm.select-ok", selected).await.unwrap();
    channel
}

/// A consumer with a template and more arguments.
async fn seek(
    channel: &Channel,
    space: &str,
    template: &str,
    arguments: impl IntoIterator<Item = (&'static str, AMQPValue)>,
) -> Result<Consumer, lapin::Error> {
    let template = (!template.is_empty()).then(|| ("x-template", string(template)));
    let arguments = table(arguments.into_iter().chain(template));
    let consumed = channel.basic_consume(space.into(), "".into(), BasicConsumeOptions::default(), arguments);
    within("basic.consume-ok", consumed).await
}

/// The consumer was cancelled by the broker.
async fn ended(consumer: &mut Consumer) {
    let next = within("the end of the consumer", consumer.next()).await;
    assert!(next.is_none(), "{next:?} instead of the end");
}

/// Copies of all that match, as text, in their order.
async fn read_all(channel: &Channel, space: &str, template: &str) -> Vec<String> {
    let mut reader = seek(channel, space, template, [("x-mode", string("read"))]).await.unwrap();
    let mut tuples = Vec::new();
    while let Some(delivery) = within("a copy", reader.next()).await {
        tuples.push(text(&delivery.unwrap()));
    }
    tuples
}
