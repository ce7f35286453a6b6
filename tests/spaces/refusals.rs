//! What is refused, and what is said then.

use super::*;
use crate::support::Broker;

/// The text of a broker's refusal.
fn refusal<T>(outcome: Result<T, lapin::Error>) -> String {
    let error = outcome.err().expect("refused");
    assert_eq!(code(&error), Some(406), "{error}");
    error.to_string()
}

#[tokio::test]
async fn malformed_templates_and_arguments() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let space = space(&channel_on(&connection).await).await;
    let cases: [(&str, &'static str, AMQPValue, &str); 6] = [
        (r#"{"n":{"gt":"a","x":1}}"#, "x-max", AMQPValue::LongInt(1), "x-template"),
        ("", "x-mode", string("steal"), "invalid arg 'x-mode'"),
        ("", "x-max", AMQPValue::LongInt(0), "expected an integer from 1 on, came 0"),
        ("", "x-timeout", string("soon"), "expected an integer, came longstr"),
        ("", "x-tail", AMQPValue::LongInt(1), "expected true or false"),
        ("", "x-template", AMQPValue::LongInt(1), "expected a template"),
    ];
    for (template, name, value, text) in cases {
        let channel = channel_on(&connection).await;
        let said = refusal(seek(&channel, &space, template, [(name, value)]).await);
        assert!(said.contains(text), "{said}");
    }
}

#[tokio::test]
async fn malformed_tuples() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let space = space(&channel_on(&connection).await).await;
    for (tuple, text) in [
        (r#"{"a":1,"a":2}"#, "malformed tuple, field a"),
        ("7", "expected an array or a table"),
        ("{", "malformed tuple"),
    ] {
        let channel = confirming(&connection).await;
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish("".into(), space.as_str().into(), options, tuple.as_bytes(), properties);
        let confirm = published.await.unwrap();
        let said = refusal(within("the refusal", confirm).await);
        assert!(said.contains(text), "{said}");
    }
    assert_eq!(counts(&connection, &space).await, Some((0, 0)));
}

#[tokio::test]
async fn what_spaces_and_views_cannot_be() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let space = space(&channel_on(&connection).await).await;
    let cases: [(&str, &'static str, AMQPValue, &str); 5] = [
        ("space", "x-max-priority", AMQPValue::LongInt(3), "invalid arg 'x-max-priority'"),
        (
            "space",
            "x-single-active-consumer",
            AMQPValue::Boolean(true),
            "x-single-active-consumer",
        ),
        ("space", "x-space-index", string("k"), "malformed index"),
        ("view", "x-template", string("{}"), "a view needs the name of a space"),
        ("view", "x-message-ttl", AMQPValue::LongInt(3), "x-message-ttl"),
    ];
    for (kind, name, value, text) in cases {
        let channel = channel_on(&connection).await;
        let arguments = [("x-queue-type", string(kind)), (name, value)];
        let said = refusal(declare_as(&channel, &unique("refused"), arguments).await);
        assert!(said.contains(text), "{said}");
    }
    let channel = channel_on(&connection).await;
    let view = view(&channel, &space, "{}", "take").await;
    let bound = channel.queue_bind(
        view.as_str().into(),
        "amq.topic".into(),
        "#".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    let said = refusal(within("queue.bind", bound).await);
    assert!(said.contains("is a view and stores nothing"), "{said}");
}
