//! Policies over HTTP: set, listed, applied to what is there and to what comes, kept over a restart.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::http::{self, GUEST, Response};
use support::lapin::*;
use support::{Broker, eventually, within};

fn send(broker: &Broker, method: &str, path: &str, body: &Value) -> Response {
    http::send(broker.http(), method, path, GUEST, &body.to_string())
}

fn put(broker: &Broker, path: &str, body: &Value, expected: u16) {
    let response = send(broker, "PUT", path, body);
    assert_eq!(response.status, expected, "{path} {body}: {}", response.body);
}

fn delete(broker: &Broker, path: &str, expected: u16) {
    let response = send(broker, "DELETE", path, &Value::Null);
    assert_eq!(response.status, expected, "{path}: {}", response.body);
}

#[tokio::test]
async fn they_apply_to_queues_and_outlive_a_restart() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = durable_queue(&channel, "governed").await;
    let seen = |broker: &Broker| {
        let listed = http::json(broker.http(), &format!("/api/queues/%2F/{queue}"));
        [
            listed["policy"].clone(),
            listed["operator_policy"].clone(),
            listed["effective_policy_definition"].clone(),
        ]
    };
    assert_eq!(seen(&broker), [Value::Null, Value::Null, json!({})]);
    let body =
        json!({"pattern": "^governed", "definition": {"max-length": 5, "overflow": "reject-publish"}, "priority": 3, "apply-to": "queues"});
    put(&broker, "/api/policies/%2F/a%20name%2Fwith%20all", &body, 201);
    put(&broker, "/api/policies/%2f/a%20name%2Fwith%20all", &body, 204);
    let body = json!({"pattern": ".*", "definition": {"max-length": 3}});
    put(&broker, "/api/operator-policies/%2F/bound", &body, 201);
    let expected = [
        json!("a name/with all"),
        json!("bound"),
        json!({"max-length": 3, "overflow": "reject-publish"}),
    ];
    assert_eq!(seen(&broker), expected);
    let one = json!({
        "vhost": "/", "name": "a name/with all", "pattern": "^governed", "apply-to": "queues",
        "definition": {"max-length": 5, "overflow": "reject-publish"}, "priority": 3,
    });
    let bound = json!({"vhost": "/", "name": "bound", "pattern": ".*", "apply-to": "all", "definition": {"max-length": 3}, "priority": 0});
    drop((channel, connection));
    broker.kill();
    broker.restart();
    assert_eq!(seen(&broker), expected);
    assert_eq!(http::json(broker.http(), "/api/policies"), json!([one]));
    assert_eq!(http::json(broker.http(), "/api/policies/%2F"), json!([one]));
    assert_eq!(http::json(broker.http(), "/api/policies/%2F/a%20name%2Fwith%20all"), one);
    assert_eq!(http::json(broker.http(), "/api/operator-policies"), json!([bound]));
    assert_eq!(http::json(broker.http(), "/api/operator-policies/%2F/bound"), bound);
    delete(&broker, "/api/policies/%2F/a%20name%2Fwith%20all", 204);
    delete(&broker, "/api/policies/%2F/a%20name%2Fwith%20all", 404);
    delete(&broker, "/api/operator-policies/%2F/bound", 204);
    assert_eq!(seen(&broker), [Value::Null, Value::Null, json!({})]);
}

#[test]
fn what_rabbitmq_refuses_is_refused_in_its_words() {
    let Some(broker) = Broker::own() else { return };
    let check = |body: &str, reason: &str| {
        let response = http::send(broker.http(), "PUT", "/api/policies/%2F/p", GUEST, body);
        assert_eq!(response.status, 400, "{body}");
        assert_eq!(response.json(), json!({"error": "bad_request", "reason": reason}), "{body}");
    };
    check("{", "not_json");
    check("{}", "[{key_missing,pattern},{key_missing,definition}]");
    check(r#"{"pattern": ".*"}"#, "[{key_missing,definition}]");
    check(
        r#"{"pattern": ".*", "definition": {}}"#,
        "Validation failed\n\nno policy provided\n",
    );
    check(
        r#"{"pattern": ".*", "definition": {"max-length": -1}}"#,
        "Validation failed\n\n-1 is not a valid maximum length\n",
    );
    check(
        r#"{"pattern": ".*", "definition": {"max-lengths": 1}}"#,
        "Validation failed\n\n[{<<\"max-lengths\">>,1}] are not recognised policy settings\n",
    );
    check(
        r#"{"pattern": ".*", "definition": {"max-length": 1}, "priority": "1"}"#,
        "Validation failed\n\npriority should be a number, actually was <<\"1\">>\n",
    );
    let body = json!({"pattern": ".*", "definition": {"max-length": 1}});
    let response = send(&broker, "PUT", "/api/policies/nowhere/p", &body);
    assert_eq!(
        (response.status, response.json()["reason"].clone()),
        (404, json!("vhost_not_found"))
    );
    for path in ["/api/policies/%2F/p", "/api/policies/nowhere", "/api/policies/nowhere/p"] {
        let response = http::get(broker.http(), path, GUEST);
        assert_eq!(
            (response.status, response.json()["error"].clone()),
            (404, json!("Object Not Found")),
            "{path}"
        );
    }
    assert_eq!(http::get(broker.http(), "/api/policies", "").status, 401);
}

/// How many messages are ready in a queue, once that is what is expected.
async fn until_ready(broker: &Broker, queue: &str, expected: u64) {
    let path = format!("/api/queues/%2F/{queue}");
    let counted = async || (http::json(broker.http(), &path)["messages_ready"] == expected).then_some(());
    eventually("the number of messages", counted).await;
}

#[tokio::test]
async fn they_count_at_once_for_queues_with_messages_in_them() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let queue = durable_queue(&channel, "live").await;
    let publish = async |body: &str| {
        let published = channel.basic_publish(
            "".into(),
            queue.as_str().into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            BasicProperties::default(),
        );
        within("a confirm", within("the publish", published).await.unwrap()).await.unwrap()
    };
    for n in 0..6 {
        publish(&n.to_string()).await;
    }
    let policy = |definition: Value| json!({"pattern": "^live", "definition": definition, "apply-to": "queues"});
    // The head makes room at once.
    put(&broker, "/api/policies/%2F/live", &policy(json!({"max-length": 4})), 201);
    until_ready(&broker, &queue, 4).await;
    put(&broker, "/api/operator-policies/%2F/bound", &policy(json!({"max-length": 3})), 201);
    until_ready(&broker, &queue, 3).await;
    // From now on publishers are refused instead.
    put(
        &broker,
        "/api/policies/%2F/live",
        &policy(json!({"max-length": 9, "overflow": "reject-publish"})),
        204,
    );
    assert!(publish("refused").await.is_nack());
    delete(&broker, "/api/operator-policies/%2F/bound", 204);
    assert!(publish("taken").await.is_ack());
    // What is dropped goes where the policy says.
    let dead = durable_queue(&channel, "dead").await;
    let definition = json!({"max-length": 1, "dead-letter-exchange": "", "dead-letter-routing-key": dead});
    put(&broker, "/api/policies/%2F/live", &policy(definition), 204);
    until_ready(&broker, &queue, 1).await;
    until_ready(&broker, &dead, 3).await;
    assert_eq!(drain(&channel, &dead).await, ["3", "4", "5"]);
    // New messages expire, those that were there before stay.
    put(&broker, "/api/policies/%2F/live", &policy(json!({"message-ttl": 0})), 204);
    publish("expires").await;
    until_ready(&broker, &queue, 1).await;
    delete(&broker, "/api/policies/%2F/live", 204);
    publish("stays").await;
    until_ready(&broker, &queue, 2).await;
    assert_eq!(drain(&channel, &queue).await, ["taken", "stays"]);
}
