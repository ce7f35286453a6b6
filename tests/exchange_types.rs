//! RabbitMQ's plugin exchange types over the wire: hashes, chance, their errors, returns and alternate exchanges; topic permissions.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::http::{self, GUEST};
use support::lapin::*;
use support::{Broker, within};

const DURABLE: ExchangeDeclareOptions = ExchangeDeclareOptions {
    passive: false,
    durable: true,
    auto_delete: false,
    internal: false,
    nowait: false,
};

async fn declare_exchange(channel: &Channel, name: &str, kind: &str, arguments: FieldTable) -> Result<(), lapin::Error> {
    let declared = channel.exchange_declare(name.into(), ExchangeKind::Custom(kind.into()), DURABLE, arguments);
    within("exchange.declare-ok", declared).await
}

async fn bound_queues(channel: &Channel, exchange: &str, keys: &[&str]) -> Vec<String> {
    let mut queues = Vec::new();
    for key in keys {
        let queue = durable_queue(channel, "share").await;
        bind(channel, &queue, exchange, key).await;
        queues.push(queue);
    }
    queues
}

/// How many messages each queue has; they are taken out.
async fn shares(channel: &Channel, queues: &[String]) -> Vec<usize> {
    let mut shares = Vec::new();
    for queue in queues {
        shares.push(drain(channel, queue).await.len());
    }
    shares
}

#[tokio::test]
async fn each_message_goes_to_one_queue_by_weight_or_by_chance() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    declare_exchange(&channel, "hash", "x-consistent-hash", FieldTable::default())
        .await
        .unwrap();
    let queues = bound_queues(&channel, "hash", &["1", "1", "2"]).await;
    for n in 0..800 {
        publish_to(&channel, "hash", &format!("key-{n}"), "m").await;
    }
    sync(&channel).await;
    let by_weight = shares(&channel, &queues).await;
    assert_eq!(by_weight.iter().sum::<usize>(), 800);
    let is_near = |share: usize, expected: usize| share.abs_diff(expected) < 60;
    assert!(
        is_near(by_weight[0], 200) && is_near(by_weight[1], 200) && is_near(by_weight[2], 400),
        "{by_weight:?}"
    );

    declare_exchange(&channel, "modulus", "x-modulus-hash", FieldTable::default())
        .await
        .unwrap();
    let queues = bound_queues(&channel, "modulus", &["", "", ""]).await;
    for _ in 0..30 {
        publish_to(&channel, "modulus", "the same key", "m").await;
    }
    sync(&channel).await;
    let mut by_key = shares(&channel, &queues).await;
    by_key.sort_unstable();
    assert_eq!(by_key, [0, 0, 30]);

    // The same key again and again: a route by chance is not remembered.
    declare_exchange(&channel, "random", "x-random", FieldTable::default())
        .await
        .unwrap();
    let queues = bound_queues(&channel, "random", &["", "", ""]).await;
    for _ in 0..300 {
        publish_to(&channel, "random", "the same key", "m").await;
    }
    sync(&channel).await;
    let by_chance = shares(&channel, &queues).await;
    assert_eq!(by_chance.iter().sum::<usize>(), 300);
    assert!(by_chance.iter().all(|share| *share > 40), "{by_chance:?}");
}

#[tokio::test]
async fn keys_and_headers_go_the_same_way_after_a_restart() {
    let Some(mut broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let arguments = table([("hash-header", string("customer"))]);
    declare_exchange(&channel, "hash", "x-consistent-hash", arguments).await.unwrap();
    let queues = bound_queues(&channel, "hash", &["3", "3", "3", "3"]).await;
    let publish = async |channel: &Channel| {
        for customer in 0..40 {
            let headers = table([("customer", AMQPValue::LongInt(customer))]);
            let properties = BasicProperties::default().with_headers(headers);
            publish_with(channel, "hash", "", customer.to_string(), properties).await;
        }
        sync(channel).await;
        let mut bodies = Vec::new();
        for queue in &queues {
            bodies.push(drain(channel, queue).await);
        }
        bodies
    };
    let before = publish(&channel).await;
    assert!(before.iter().all(|bodies| bodies.len() < 25), "{before:?}");
    drop(channel);
    broker.kill();
    broker.restart();
    let channel = support::lapin::channel(&broker).await;
    assert_eq!(publish(&channel).await, before);
}

#[tokio::test]
async fn what_finds_no_queue_is_returned_or_goes_to_the_alternate_exchange() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let rest = durable_queue(&channel, "rest").await;
    bind(&channel, &rest, "amq.fanout", "").await;
    for (at, kind) in ["x-consistent-hash", "x-modulus-hash", "x-random", "x-delayed-message"]
        .into_iter()
        .enumerate()
    {
        let mut arguments = table([("x-delayed-type", string("direct"))]);
        declare_exchange(&channel, kind, kind, arguments.clone()).await.unwrap();
        let published = channel.basic_publish(kind.into(), "k".into(), mandatory, b"m", BasicProperties::default());
        let confirmation = within("a confirm", within("the publish", published).await.unwrap()).await.unwrap();
        let returned = confirmation.take_message().map(|message| message.reply_code);
        assert_eq!(returned, Some(312), "{kind}");
        arguments.insert("alternate-exchange".into(), string("amq.fanout"));
        let name = format!("alternate-{kind}");
        declare_exchange(&channel, &name, kind, arguments).await.unwrap();
        publish_to(&channel, &name, "k", at.to_string()).await;
        sync(&channel).await;
        assert_eq!(drain(&channel, &rest).await, [at.to_string()], "{kind}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_refused() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    for (kind, arguments, expected) in [
        (
            "x-consistent-hash",
            table([("hash-property", string("priority"))]),
            "Unsupported property: priority",
        ),
        (
            "x-delayed-message",
            FieldTable::default(),
            "Invalid argument, 'x-delayed-type' must be an existing exchange type",
        ),
    ] {
        let channel = channel_on(&connection).await;
        let error = declare_exchange(&channel, "wrong", kind, arguments).await.unwrap_err();
        assert_eq!(code(&error), Some(406), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn topic_permissions_are_asked_for_by_topic_exchanges() {
    let Some(mut broker) = Broker::own() else { return };
    let path = "/api/topic-permissions/%2F/guest";
    let body = json!({"exchange": "amq.topic", "write": "^{username}\\.", "read": "^public"}).to_string();
    assert_eq!(http::get(broker.http(), path, GUEST).status, 404);
    assert_eq!(http::send(broker.http(), "PUT", path, GUEST, &body).status, 201);
    assert_eq!(http::send(broker.http(), "PUT", path, GUEST, &body).status, 204);
    broker.kill();
    broker.restart();
    let expected = json!([{"user": "guest", "vhost": "/", "exchange": "amq.topic", "write": "^{username}\\.", "read": "^public"}]);
    assert_eq!(http::json(broker.http(), path), expected);
    assert_eq!(http::json(broker.http(), "/api/topic-permissions"), expected);
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = queue(&channel, "topics").await;
    bind(&channel, &queue, "amq.topic", "public.#").await;
    publish_to(&channel, "amq.topic", "guest.a", "m").await;
    sync(&channel).await;
    let bound = channel.queue_bind(
        queue.as_str().into(),
        "amq.topic".into(),
        "secret".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    let error = within("an answer", bound).await.unwrap_err();
    let text = "read access to topic 'secret' in exchange topic 'amq.topic' in vhost '/' refused for user 'guest'";
    assert!(code(&error) == Some(403) && error.to_string().contains(text), "{error}");
    let channel = channel_on(&connection).await;
    publish_to(&channel, "amq.topic", "ann.a", "m").await;
    let closed = channel.basic_qos(1, BasicQosOptions::default());
    assert!(within("an answer", closed).await.is_err(), "the channel was closed");
    assert_eq!(http::send(broker.http(), "DELETE", path, GUEST, "").status, 204);
    let channel = channel_on(&connection).await;
    publish_to(&channel, "amq.topic", "ann.a", "m").await;
    sync(&channel).await;
}

#[tokio::test]
async fn what_a_delayed_message_exchange_holds_back_goes_with_it() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let declare_delayed = async |channel: &Channel| {
        let arguments = table([("x-delayed-type", string("fanout"))]);
        declare_exchange(channel, "later", "x-delayed-message", arguments).await.unwrap();
    };
    let queue = durable_queue(&channel, "due").await;
    let publish = async |channel: &Channel, delay: i32, body: &str| {
        let headers = table([("x-delay", AMQPValue::LongInt(delay))]);
        let properties = BasicProperties::default().with_headers(headers).with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish("later".into(), "".into(), options, body.as_bytes(), properties);
        let confirmation = within("a confirm", within("the publish", published).await.unwrap()).await.unwrap();
        assert!(confirmation.is_ack());
    };
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    declare_delayed(&channel).await;
    bind(&channel, &queue, "later", "").await;
    publish(&channel, 200, "lost").await;
    channel
        .exchange_delete("later".into(), ExchangeDeleteOptions::default())
        .await
        .unwrap();
    // An exchange of the same name begins anew. Its message comes later than the lost one would have.
    declare_delayed(&channel).await;
    bind(&channel, &queue, "later", "").await;
    publish(&channel, 400, "kept").await;
    publish(&channel, 0, "at once").await;
    until_ready(&connection, &queue, 1).await;
    drop((channel, connection));
    broker.kill();
    broker.restart();
    let connection = connect(&broker).await;
    until_ready(&connection, &queue, 2).await;
    assert_eq!(drain(&channel_on(&connection).await, &queue).await, ["at once", "kept"]);
}
