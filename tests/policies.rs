//! Policies over HTTP: set, listed, applied to what is there and to what comes, kept over a restart.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::Broker;
use support::http::{self, GUEST, Response};
use support::lapin::*;

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
