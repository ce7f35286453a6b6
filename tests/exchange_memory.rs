//! Exchanges that remember, over the wire: messages that are routed once (`x-message-deduplication`), and the last messages for whoever comes later
//! (`x-recent-history`); both across a crash.

#![allow(clippy::unwrap_used)]

mod support;

use support::lapin::*;
use support::{Broker, within};

const DURABLE: ExchangeDeclareOptions = ExchangeDeclareOptions {
    passive: false,
    durable: true,
    auto_delete: false,
    internal: false,
    nowait: false,
};

async fn declare_exchange(channel: &Channel, name: &str, kind: &str, arguments: FieldTable) {
    let declared = channel.exchange_declare(name.into(), ExchangeKind::Custom(kind.into()), DURABLE, arguments);
    within("exchange.declare-ok", declared).await.unwrap();
}

/// A persistent message with these headers.
fn with(headers: FieldTable) -> BasicProperties {
    BasicProperties::default().with_headers(headers).with_delivery_mode(2)
}

fn key(key: &str) -> FieldTable {
    table([("x-deduplication-header", string(key))])
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = channel_on(connection).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

/// Publishes; true if it was confirmed, and the reply code with which it came back if it did.
async fn publish_mandatory(channel: &Channel, exchange: &str, routing_key: &str, headers: FieldTable, body: &str) -> (bool, Option<u16>) {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let published = channel.basic_publish(exchange.into(), routing_key.into(), options, body.as_bytes(), with(headers));
    let confirmation = within("a confirm", within("the publish", published).await.unwrap()).await.unwrap();
    let is_ack = confirmation.is_ack();
    (is_ack, confirmation.take_message().map(|message| message.reply_code))
}

#[tokio::test]
async fn a_key_is_remembered_across_a_crash_for_its_time() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    declare_exchange(
        &channel,
        "once",
        "x-message-deduplication",
        table([("x-cache-size", AMQPValue::LongInt(1000))]),
    )
    .await;
    let forgetful = table([
        ("x-cache-size", AMQPValue::LongInt(1000)),
        ("x-cache-persistence", string("memory")),
    ]);
    declare_exchange(&channel, "forgetful", "x-message-deduplication", forgetful).await;
    let queue = durable_queue(&channel, "unique").await;
    bind(&channel, &queue, "once", "").await;
    bind(&channel, &queue, "forgetful", "").await;
    for (exchange, headers, body, expected) in [
        ("once", key("a"), "a", None),
        ("once", key("a"), "a again", Some(312)),
        ("forgetful", key("a"), "a elsewhere", None),
        ("once", FieldTable::default(), "no key", None),
    ] {
        let outcome = publish_mandatory(&channel, exchange, "any", headers, body).await;
        assert_eq!(outcome, (true, expected), "{body}");
    }
    let mut short = key("short");
    short.insert("x-cache-ttl".into(), AMQPValue::LongInt(1));
    assert_eq!(publish_mandatory(&channel, "once", "", short, "short").await, (true, None));
    // Of a transient message neither it nor its key outlives the broker.
    let transient = BasicProperties::default().with_headers(key("transient"));
    publish_with(&channel, "once", "", "transient", transient.clone()).await;
    sync(&channel).await;
    assert_eq!(drain(&channel, &queue).await, ["a", "a elsewhere", "no key", "short", "transient"]);
    drop((channel, connection));
    broker.kill();
    broker.restart();
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    // That these were taken may not have been written down yet.
    drain(&channel, &queue).await;
    for (exchange, name, expected) in [
        ("once", "a", Some(312)),
        ("forgetful", "a", None),
        ("once", "short", None),
        ("once", "transient", None),
        ("once", "new", None),
    ] {
        let outcome = publish_mandatory(&channel, exchange, "", key(name), name).await;
        assert_eq!(outcome, (true, expected), "{exchange} {name}");
    }
    assert_eq!(drain(&channel, &queue).await, ["a", "short", "transient", "new"]);
    // An exchange of the same name begins anew.
    channel
        .exchange_delete("once".into(), ExchangeDeleteOptions::default())
        .await
        .unwrap();
    declare_exchange(
        &channel,
        "once",
        "x-message-deduplication",
        table([("x-cache-size", AMQPValue::LongInt(2))]),
    )
    .await;
    bind(&channel, &queue, "once", "").await;
    for name in ["a", "b", "c", "b", "a", "c"] {
        publish_mandatory(&channel, "once", "", key(name), name).await;
    }
    assert_eq!(drain(&channel, &queue).await, ["a", "b", "c", "a"], "the oldest of two makes room");
}

#[tokio::test]
async fn what_gets_nowhere_is_not_remembered() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let arguments = table([
        ("x-message-deduplication", AMQPValue::Boolean(true)),
        ("x-deduplication-header", string("id")),
    ]);
    declare_exchange(&channel, "once", "direct", arguments).await;
    let id = |id: &str| table([("id", string(id))]);
    assert_eq!(
        publish_mandatory(&channel, "once", "k", id("1"), "nowhere").await,
        (true, Some(312))
    );
    let full = "full";
    let arguments = table([("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", string("reject-publish"))]);
    let declared = channel.queue_declare(full.into(), QueueDeclareOptions::default(), arguments);
    within("queue.declare-ok", declared).await.unwrap();
    bind(&channel, full, "once", "k").await;
    for (number, body, expected) in [
        ("1", "somewhere", (true, None)),
        ("2", "refused", (false, None)),
        ("1", "somewhere again", (true, Some(312))),
    ] {
        assert_eq!(publish_mandatory(&channel, "once", "k", id(number), body).await, expected, "{body}");
    }
    // A channel without confirms does not hear of the refusal, but may send again as well.
    let plain = channel_on(&connection).await;
    publish_with(&plain, "once", "k", "dropped", with(id("3"))).await;
    sync(&plain).await;
    assert_eq!(drain(&channel, full).await, ["somewhere"]);
    for number in ["2", "3"] {
        assert_eq!(publish_mandatory(&channel, "once", "k", id(number), number).await, (true, None));
        assert_eq!(drain(&channel, full).await, [number]);
    }
}

#[tokio::test]
async fn a_transaction_claims_its_keys_when_it_commits() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let (first, second) = (channel_on(&connection).await, channel_on(&connection).await);
    declare_exchange(
        &channel,
        "once",
        "x-message-deduplication",
        table([("x-cache-size", AMQPValue::LongInt(9))]),
    )
    .await;
    let queue = durable_queue(&channel, "unique").await;
    bind(&channel, &queue, "once", "").await;
    for channel in [&first, &second] {
        channel.tx_select().await.unwrap();
    }
    publish_with(&first, "once", "", "rolled back", with(key("a"))).await;
    first.tx_rollback().await.unwrap();
    for (channel, body) in [(&first, "first"), (&first, "first again"), (&second, "second")] {
        publish_with(channel, "once", "", body, with(key("a"))).await;
    }
    publish_with(&second, "once", "", "b", with(key("b"))).await;
    second.tx_commit().await.unwrap();
    first.tx_commit().await.unwrap();
    publish_with(&second, "once", "", "late", with(key("b"))).await;
    second.tx_commit().await.unwrap();
    assert_eq!(drain(&channel, &queue).await, ["second", "b"]);
    drop((channel, first, second, connection));
    broker.kill();
    broker.restart();
    let channel = confirming(&connect(&broker).await).await;
    // That these were taken may not have been written down yet.
    drain(&channel, &queue).await;
    for name in ["a", "b", "c"] {
        publish_mandatory(&channel, "once", "", key(name), name).await;
    }
    assert_eq!(drain(&channel, &queue).await, ["c"]);
}

#[tokio::test]
async fn letters_are_routed_once_as_well() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    declare_exchange(
        &channel,
        "once",
        "x-message-deduplication",
        table([("x-cache-size", AMQPValue::LongInt(9))]),
    )
    .await;
    let dead = durable_queue(&channel, "dead").await;
    bind(&channel, &dead, "once", "").await;
    let arguments = table([("x-dead-letter-exchange", string("once")), ("x-max-length", AMQPValue::LongInt(0))]);
    let declared = channel.queue_declare("dying".into(), QueueDeclareOptions::default(), arguments);
    within("queue.declare-ok", declared).await.unwrap();
    for (name, body) in [("a", "a"), ("a", "a again"), ("b", "b")] {
        publish_with(&channel, "", "dying", body, with(key(name))).await;
    }
    until_ready(&connection, &dead, 2).await;
    assert_eq!(
        publish_mandatory(&channel, "once", "", key("b"), "b again").await,
        (true, Some(312))
    );
    assert_eq!(drain(&channel, &dead).await, ["a", "b"]);
}

#[tokio::test]
async fn what_is_bound_later_gets_the_last_messages_first() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    declare_exchange(
        &channel,
        "news",
        "x-recent-history",
        table([("x-recent-history-length", AMQPValue::LongInt(3))]),
    )
    .await;
    let large = "l".repeat(10_000);
    let no_store = table([("x-recent-history-no-store", AMQPValue::Boolean(true))]);
    assert_eq!(
        publish_mandatory(&channel, "news", "k", FieldTable::default(), "1").await,
        (true, Some(312)),
        "a history is no destination"
    );
    for body in ["2", &large, "4"] {
        publish_mandatory(&channel, "news", "k", FieldTable::default(), body).await;
    }
    publish_mandatory(&channel, "news", "k", no_store, "not kept").await;
    let early = durable_queue(&channel, "early").await;
    bind(&channel, &early, "news", "").await;
    publish_mandatory(&channel, "news", "k", FieldTable::default(), "5").await;
    assert_eq!(drain(&channel, &early).await, ["2", &large, "4", "5"]);
    drop((channel, connection));
    broker.kill();
    broker.restart();
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let late = durable_queue(&channel, "late").await;
    bind(&channel, &late, "news", "").await;
    // Once more by another binding, and through an exchange that looks at the key.
    bind(&channel, &late, "news", "again").await;
    let sorted = durable_queue(&channel, "sorted").await;
    bind(&channel, &sorted, "amq.direct", "k").await;
    let bound = channel.exchange_bind(
        "amq.direct".into(),
        "news".into(),
        "".into(),
        ExchangeBindOptions::default(),
        FieldTable::default(),
    );
    within("exchange.bind-ok", bound).await.unwrap();
    let history = [large.as_str(), "4", "5"];
    assert_eq!(drain(&channel, &late).await, [history, history].concat());
    assert_eq!(drain(&channel, &sorted).await, history);
    // What was copied is durable when the binding is.
    let last = durable_queue(&channel, "last").await;
    bind(&channel, &last, "news", "").await;
    drop((channel, connection));
    broker.kill();
    broker.restart();
    assert_eq!(drain(&channel_on(&connect(&broker).await).await, &last).await, history);
}
