//! Limits of virtual hosts and users: set over HTTP, kept over a restart, enforced with RabbitMQ's codes and texts.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::{self, GUEST};
use support::lapin::*;
use support::{Broker, within};

fn limit(broker: &Broker, path: &str, value: impl Into<Value>, expected: u16) {
    let body = json!({"value": value.into()}).to_string();
    let response = http::send(broker.http(), "PUT", path, GUEST, &body);
    assert_eq!(response.status, expected, "{path} {body}: {}", response.body);
}

fn unlimit(broker: &Broker, path: &str) {
    assert_eq!(http::send(broker.http(), "DELETE", path, GUEST, "").status, 204, "{path}");
}

/// Code and text of a refusal.
fn refusal<T>(outcome: Result<T, lapin::Error>) -> (u16, String) {
    let error = outcome.map(drop).unwrap_err();
    (code(&error).unwrap_or_default(), error.to_string())
}

#[tokio::test]
async fn they_are_enforced_and_outlive_a_restart() {
    let Some(mut broker) = Broker::own() else { return };
    limit(&broker, "/api/vhost-limits/%2F/max-queues", 1, 204);
    limit(&broker, "/api/vhost-limits/%2F/max-connections", 1, 204);
    limit(&broker, "/api/user-limits/guest/max-channels", 2, 204);
    broker.kill();
    broker.restart();
    let expected = json!([{"vhost": "/", "value": {"max-connections": 1, "max-queues": 1}}]);
    assert_eq!(http::json(broker.http(), "/api/vhost-limits"), expected);
    assert_eq!(http::json(broker.http(), "/api/vhost-limits/%2F"), expected);
    let expected = json!([{"user": "guest", "value": {"max-channels": 2}}]);
    assert_eq!(http::json(broker.http(), "/api/user-limits"), expected);
    assert_eq!(http::json(broker.http(), "/api/user-limits/guest"), expected);

    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    declare(&channel, "first", QueueDeclareOptions::default()).await;
    declare(&channel, "first", QueueDeclareOptions::default()).await;
    let second = channel.queue_declare("second".into(), QueueDeclareOptions::default(), FieldTable::default());
    let (code, text) = refusal(within("an answer", second).await);
    assert_eq!(code, 406);
    assert!(
        text.contains("cannot declare queue 'second': queue limit in vhost '/' (1) is reached"),
        "{text}"
    );

    let uri = broker.uri();
    let another = lapin::Connection::connect(&uri, lapin::ConnectionProperties::default());
    let (code, text) = refusal(within("an answer", another).await);
    assert_eq!(code, 530);
    assert!(
        text.contains("access to vhost '/' refused for user 'guest': connection limit (1) is reached"),
        "{text}"
    );

    // The channel that was closed by the broker counts no more.
    let _kept = (channel_on(&connection).await, channel_on(&connection).await);
    let (code, text) = refusal(within("an answer", connection.create_channel()).await);
    assert_eq!(code, 530);
    let expected = "number of channels opened for user 'guest' has reached the maximum allowed user limit of 2";
    assert!(text.contains(expected), "{text}");

    for path in [
        "/api/vhost-limits/%2F/max-queues",
        "/api/vhost-limits/%2F/max-connections",
        "/api/user-limits/guest/max-channels",
        "/api/user-limits/guest/max-channels",
    ] {
        unlimit(&broker, path);
    }
    assert_eq!(http::json(broker.http(), "/api/vhost-limits"), json!([]));
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    declare(&channel, "third", QueueDeclareOptions::default()).await;
    declare(&channel, "fourth", QueueDeclareOptions::default()).await;
}

#[test]
fn what_rabbitmq_refuses_is_refused_in_its_words() {
    let Some(broker) = Broker::own() else { return };
    let check = |path: &str, body: &str, status: u16, reason: &str| {
        let response = http::send(broker.http(), "PUT", path, GUEST, body);
        assert_eq!(
            (response.status, response.json()["reason"].clone()),
            (status, json!(reason)),
            "{path} {body}"
        );
    };
    let path = "/api/vhost-limits/%2F/max-queues";
    check(path, "[]", 400, "not_json");
    check(path, "", 400, "[{key_missing,value}]");
    check(path, "{}", 400, "[{key_missing,value}]");
    check(
        path,
        r#"{"value": "1"}"#,
        400,
        "Validation failed\n\nmax-queues should be a number, actually was <<\"1\">>\n",
    );
    let unknown = "Validation failed\n\nUnrecognised terms [{<<\"max-fun\">>,1}] in limits\n";
    check("/api/vhost-limits/%2F/max-fun", r#"{"value": 1}"#, 400, unknown);
    check("/api/vhost-limits/nowhere/max-queues", r#"{"value": 1}"#, 404, "vhost_not_found");
    check("/api/user-limits/nobody/max-channels", r#"{"value": 1}"#, 400, "no_such_user");
    assert_eq!(http::get(broker.http(), "/api/vhost-limits/nowhere", GUEST).status, 404);
    assert_eq!(http::json(broker.http(), "/api/vhost-limits/%2F"), json!([]));
}

/// Publishes so many messages, and waits until all are confirmed.
async fn publish_all(channel: &Channel, queue: &str, count: usize, body: &[u8]) -> Duration {
    let start = Instant::now();
    let mut confirms = Vec::new();
    for _ in 0..count {
        let published = channel.basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            body,
            BasicProperties::default(),
        );
        confirms.push(within("room for a publish", published).await.unwrap());
    }
    for confirm in confirms {
        assert!(within("a confirm", confirm).await.unwrap().is_ack(), "nothing is refused");
    }
    start.elapsed()
}

#[tokio::test]
async fn whoever_publishes_faster_than_it_may_waits() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let queue = queue(&channel, "rated").await;
    // The bucket holds what a second brings: 40 messages at 20 a second take one second at least, of which the clock may have seen a little less.
    let least = Duration::from_millis(900);
    for (path, value, count, body) in [
        ("/api/user-limits/guest/max-publish-rate", 20, 40, &b"m"[..]),
        ("/api/vhost-limits/%2F/max-publish-rate", 20, 40, b"m"),
        ("/api/user-limits/guest/max-publish-bytes-rate", 2000, 40, &[7; 100]),
    ] {
        limit(&broker, path, value, 204);
        let took = publish_all(&channel, &queue, count, body).await;
        assert!(took >= least, "{path}: {took:?}");
        // Consumers are not concerned, and the queue has everything.
        assert_eq!(drain(&channel, &queue).await.len(), count);
        unlimit(&broker, path);
    }
    let arguments = table([("x-max-publish-rate", AMQPValue::LongInt(20))]);
    let declared = channel.queue_declare("slow".into(), QueueDeclareOptions::default(), arguments);
    within("queue.declare-ok", declared).await.unwrap();
    let took = publish_all(&channel, "slow", 40, b"m").await;
    assert!(took >= least, "{took:?}");
    let policy = json!({"pattern": "^rated", "definition": {"max-publish-rate": 10}, "apply-to": "queues"}).to_string();
    let response = http::send(broker.http(), "PUT", "/api/policies/%2F/slow", GUEST, &policy);
    assert_eq!(response.status, 201, "{}", response.body);
    let took = publish_all(&channel, &queue, 20, b"m").await;
    assert!(took >= least, "{took:?}");
    // Rates are known by their names, and must be numbers.
    limit(&broker, "/api/user-limits/guest/max-publish-rate", "fast", 400);
    let arguments = table([("x-max-publish-rate", AMQPValue::LongInt(-1))]);
    let declared = channel.queue_declare("wrong".into(), QueueDeclareOptions::default(), arguments);
    let (code, text) = refusal(within("an answer", declared).await);
    assert!(code == 406 && text.contains("x-max-publish-rate"), "{text}");
}
