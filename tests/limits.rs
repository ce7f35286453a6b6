//! Limits of virtual hosts and users: set over HTTP, kept over a restart, enforced with RabbitMQ's codes and texts.

#![allow(clippy::unwrap_used)]

mod support;

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
