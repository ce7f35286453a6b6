//! Dead letters: why they leave, where they go, and what their headers say. What is expected here was seen on RabbitMQ 3.10.

use std::fmt::Write;

use crate::support::lapin::*;
use crate::support::{Broker, eventually, unique, within};

/// A queue with arguments that is not durable; its name.
pub async fn queue_with(channel: &Channel, arguments: FieldTable) -> String {
    let name = unique("queue");
    declare_with(channel, &name, QueueDeclareOptions::default(), arguments).await;
    name
}

async fn declare_with(channel: &Channel, name: &str, options: QueueDeclareOptions, arguments: FieldTable) {
    channel.queue_declare(name.into(), options, arguments).await.unwrap();
}

/// Arguments that send dead letters to a queue, beside others.
fn to(queue: &str, more: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> FieldTable {
    let to = [("x-dead-letter-exchange", string("")), ("x-dead-letter-routing-key", string(queue))];
    table(to.into_iter().chain(more))
}

fn int(n: i32) -> AMQPValue {
    AMQPValue::LongInt(n)
}

/// The next message in a queue, once it is there.
async fn arrival(channel: &Channel, queue: &str) -> Delivery {
    eventually("a dead letter", async || take(channel, queue).await).await
}

async fn reject(channel: &Channel, queue: &str) -> Delivery {
    let delivery = eventually("a message", async || get(channel, queue, BasicGetOptions::default()).await).await;
    delivery.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    delivery
}

/// A message's headers in their order, with types; without what only newer releases of RabbitMQ write, and without the time.
fn headers(delivery: &Delivery) -> String {
    let headers = delivery.properties.headers().clone().unwrap_or_default();
    let mut shown = String::new();
    for (name, value) in headers.inner() {
        if !name.as_str().starts_with("x-last-death-") {
            write!(shown, "{name}={} ", value_of(value)).unwrap();
        }
    }
    shown.trim_end().to_owned()
}

fn value_of(value: &AMQPValue) -> String {
    match value {
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::LongInt(n) => format!("I{n}"),
        AMQPValue::LongLongInt(n) => format!("l{n}"),
        AMQPValue::Timestamp(_) => "T".into(),
        AMQPValue::FieldArray(values) => format!("[{}]", values.as_slice().iter().map(value_of).collect::<Vec<_>>().join(" ")),
        AMQPValue::FieldTable(table) => {
            let fields = table.inner().iter().map(|(name, value)| format!("{name}={}", value_of(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

/// What a first death leaves in the headers.
fn first(queue: &str, reason: &str, more_keys: &str, more: &str) -> String {
    // lapin keeps a table's fields in the order of their names
    format!(
        "x-death=[{{count=l1 exchange= {more}queue={queue} reason={reason} routing-keys=[{queue}{more_keys}] time=T}}] \
         x-first-death-exchange= x-first-death-queue={queue} x-first-death-reason={reason}"
    )
}

#[tokio::test]
async fn messages_die_for_four_reasons() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let dead = queue(&channel, "dead").await;
    let expiring = BasicProperties::default().with_expiration("60000".into());

    let source = queue_with(&channel, to(&dead, [])).await;
    let named = table([("h", int(1)), ("CC", AMQPValue::FieldArray(vec![string("nowhere")].into()))]);
    let properties = expiring
        .clone()
        .with_headers(named)
        .with_content_type("t/p".into())
        .with_priority(3);
    publish_with(&channel, "", &source, "rejected", properties).await;
    reject(&channel, &source).await;
    let letter = arrival(&channel, &dead).await;
    let expected = first(&source, "rejected", " nowhere", "original-expiration=60000 ");
    assert_eq!(headers(&letter), format!("h=I1 {expected}"));
    assert_eq!(
        (letter.exchange.as_str(), letter.routing_key.as_str(), letter.redelivered),
        ("", &*dead, false)
    );
    let properties = &letter.properties;
    assert_eq!((properties.expiration(), properties.priority()), (&None, &Some(3)));
    assert_eq!(properties.content_type().as_ref().map(|text| text.as_str()), Some("t/p"));

    let cases = [
        (to(&dead, [("x-message-ttl", int(1))]), &["expired"][..], "expired"),
        (to(&dead, [("x-max-length", int(1))]), &["maxlen", "stays"], "maxlen"),
        (to(&dead, [("x-max-length-bytes", int(7))]), &["maxlen", "stays"], "maxlen"),
        (
            to(&dead, [("x-max-length", int(1)), ("x-overflow", string("reject-publish-dlx"))]),
            &["stays", "maxlen"],
            "maxlen",
        ),
    ];
    for (arguments, bodies, reason) in cases {
        let source = queue_with(&channel, arguments).await;
        for body in bodies {
            publish_with(&channel, "", &source, body, BasicProperties::default()).await;
        }
        let letter = arrival(&channel, &dead).await;
        assert_eq!(
            (headers(&letter), text(&letter)),
            (first(&source, reason, "", ""), reason.to_owned())
        );
        let left = drain(&channel, &source).await;
        assert_eq!(
            left,
            bodies
                .iter()
                .filter(|body| **body == "stays")
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        );
    }

    let source = queue_with(&channel, to(&dead, [])).await;
    publish_with(&channel, "", &source, "m", BasicProperties::default().with_expiration("1".into())).await;
    let letter = arrival(&channel, &dead).await;
    assert_eq!(headers(&letter), first(&source, "expired", "", "original-expiration=1 "));

    let source = unique("limited");
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let limited = to(&dead, [("x-queue-type", string("quorum")), ("x-delivery-limit", int(1))]);
    declare_with(&channel, &source, durable, limited).await;
    publish(&channel, &source, "m").await;
    for _ in 0..2 {
        let delivery = eventually("a message", async || get(&channel, &source, BasicGetOptions::default()).await).await;
        delivery.nack(REQUEUE).await.unwrap();
    }
    let letter = arrival(&channel, &dead).await;
    assert_eq!(headers(&letter), first(&source, "delivery_limit", "", ""));
}

#[tokio::test]
async fn a_retry_loop_counts() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let work = unique("work");
    let wait = queue_with(&channel, to(&work, [("x-message-ttl", int(1))])).await;
    declare_with(&channel, &work, QueueDeclareOptions::default(), to(&wait, [])).await;
    publish(&channel, &work, "m").await;
    for count in 0..4 {
        let delivery = reject(&channel, &work).await;
        let deaths = if count == 0 {
            String::new()
        } else {
            format!(
                "x-death=[{{count=l{count} exchange= queue={wait} reason=expired routing-keys=[{wait}] time=T}} \
                 {{count=l{count} exchange= queue={work} reason=rejected routing-keys=[{work}] time=T}}] \
                 x-first-death-exchange= x-first-death-queue={work} x-first-death-reason=rejected"
            )
        };
        assert_eq!(headers(&delivery), deaths);
    }
}

#[tokio::test]
async fn circles_without_a_rejection_end() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let other = queue(&channel, "other").await;
    let fanout = exchange(&channel, ExchangeKind::Fanout).await;
    let arguments = table([("x-dead-letter-exchange", string(&fanout)), ("x-message-ttl", int(1))]);
    let source = queue_with(&channel, arguments).await;
    bind(&channel, &source, &fanout, "").await;
    bind(&channel, &other, &fanout, "").await;
    publish(&channel, &source, "to the other only").await;
    assert_eq!(text(&arrival(&channel, &other).await), "to the other only");
    until_ready(&connection, &source, 0).await;

    // through two queues, and dropped when it comes to the first again
    let (a, b) = (unique("a"), unique("b"));
    declare_with(&channel, &a, QueueDeclareOptions::default(), to(&b, [("x-message-ttl", int(1))])).await;
    declare_with(&channel, &b, QueueDeclareOptions::default(), to(&a, [("x-max-length", int(0))])).await;
    publish(&channel, &a, "m").await;
    for queue in [&a, &b] {
        until_ready(&connection, queue, 0).await;
    }

    let source = unique("rejected");
    declare_with(&channel, &source, QueueDeclareOptions::default(), to(&source, [])).await;
    publish(&channel, &source, "m").await;
    for _ in 0..3 {
        assert_eq!(text(&reject(&channel, &source).await), "m", "who rejects it may want it again");
    }
}

#[tokio::test]
async fn letters_are_routed_like_other_messages() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let [by_key, by_copy, by_alternate, unbound] = [(); 4].map(|()| unique("q"));
    for queue in [&by_key, &by_copy, &by_alternate, &unbound] {
        declare(&channel, queue, QueueDeclareOptions::default()).await;
    }
    let alternate = unique("alternate");
    let internal = ExchangeDeclareOptions {
        internal: true,
        ..Default::default()
    };
    let declared = channel.exchange_declare(alternate.as_str().into(), ExchangeKind::Fanout, internal, FieldTable::default());
    declared.await.unwrap();
    bind(&channel, &by_alternate, &alternate, "").await;
    let direct = unique("direct");
    let arguments = table([("alternate-exchange", string(&alternate))]);
    let declared = channel.exchange_declare(direct.as_str().into(), ExchangeKind::Direct, internal, arguments);
    declared.await.unwrap();
    bind(&channel, &by_key, &direct, "k").await;
    bind(&channel, &by_copy, &direct, "copy").await;

    let fanout = exchange(&channel, ExchangeKind::Fanout).await;
    let source = queue_with(&channel, table([("x-dead-letter-exchange", string(&direct))])).await;
    bind(&channel, &source, &fanout, "").await;
    let copied = table([("CC", AMQPValue::FieldArray(vec![string("copy")].into()))]);
    publish_with(&channel, &fanout, "k", "both", BasicProperties::default().with_headers(copied)).await;
    publish_to(&channel, &fanout, "other", "alternate").await;
    for _ in 0..2 {
        reject(&channel, &source).await;
    }
    for (queue, body) in [(&by_key, "both"), (&by_copy, "both"), (&by_alternate, "alternate")] {
        let letter = arrival(&channel, queue).await;
        assert_eq!((text(&letter).as_str(), letter.exchange.as_str()), (body, direct.as_str()));
        assert_eq!(drain(&channel, queue).await, [""; 0]);
    }

    let source = queue_with(&channel, table([("x-dead-letter-exchange", string(&unique("missing")))])).await;
    publish(&channel, &source, "m").await;
    reject(&channel, &source).await;
    until_ready(&connection, &source, 0).await;
    assert_eq!(counts(&connection, &source).await, Some((0, 0)), "and nothing was closed");
}

#[tokio::test]
async fn letters_keep_their_order_through_a_chain() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let last = queue(&channel, "last").await;
    let second = queue_with(&channel, to(&last, [("x-max-length", int(0))])).await;
    let first = queue_with(&channel, to(&second, [("x-max-length", int(5))])).await;
    let count = 2000;
    for number in 0..count + 5 {
        publish(&channel, &first, number.to_string()).await;
    }
    let mut consumer = consume(
        &channel,
        &last,
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    let expected: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(bodies(&mut consumer, count).await, expected);
    assert_eq!(drain(&channel, &first).await.len(), 5);
}

/// RabbitMQ knows which of the queues have taken a letter, too (quorum queues).
#[tokio::test]
async fn a_letter_that_must_arrive_in_several_queues_is_offered_again_to_those_only_that_refused_it() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let exchange = exchange(&channel, ExchangeKind::Fanout).await;
    let open = queue(&channel, "open").await;
    let full = table([("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", string("reject-publish"))]);
    let full = queue_with(&channel, full).await;
    for queue in [&open, &full] {
        bind(&channel, queue, &exchange, "").await;
    }
    let sure = table([
        ("x-dead-letter-exchange", string(&exchange)),
        ("x-dead-letter-strategy", string("at-least-once")),
        ("x-overflow", string("reject-publish")),
    ]);
    let source = queue_with(&channel, sure).await;
    publish(&channel, &full, "in the way").await;
    for body in ["one", "two"] {
        publish(&channel, &source, body).await;
    }
    for _ in 0..2 {
        let message = eventually("a message", async || get(&channel, &source, BasicGetOptions::default()).await).await;
        within("the reject", message.reject(BasicRejectOptions { requeue: false }))
            .await
            .unwrap();
    }
    until_ready(&connection, &open, 2).await;
    // Each of them is offered to the full queue until it has room, several times for the second one.
    let mut arrived = Vec::new();
    while arrived.len() < 3 {
        arrived.push(text(&eventually("a letter", async || take(&channel, &full).await).await));
    }
    arrived[1..].sort_unstable();
    assert_eq!(arrived, ["in the way", "one", "two"]);
    let mut once = drain(&channel, &open).await;
    once.sort_unstable();
    assert_eq!(once, ["one", "two"]);
}
