//! Publishing and taking messages over HTTP.

use serde_json::{Value, json};

use super::support::Broker;
use super::support::lapin::{self, *};
use super::{ask, get};

fn take(broker: &Broker, queue: &str, ackmode: &str) -> Value {
    let body = json!({"count": 10, "ackmode": ackmode, "encoding": "auto"});
    ask(broker, "POST", &format!("/api/queues/%2F/{queue}/get"), &body, 200).json()
}

#[tokio::test]
async fn a_message_keeps_its_properties_and_its_octets() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let queue = durable_queue(&channel, "taken").await;
    let properties = json!({
        "content_type": "text/plain", "delivery_mode": 2, "priority": 3, "correlation_id": "c", "message_id": "m", "timestamp": 1_700_000_000,
        "type": "t", "app_id": "a", "user_id": "guest", "headers": {"n": 1, "text": "x", "list": [1, "a", true], "inner": {"k": null}},
    });
    let message = json!({"properties": properties, "routing_key": queue, "payload": "grüß", "payload_encoding": "string"});
    assert_eq!(
        ask(&broker, "POST", "/api/exchanges/%2F/amq.default/publish", &message, 200).json(),
        json!({"routed": true})
    );
    let binary = json!({"properties": {}, "routing_key": queue, "payload": "/wD/", "payload_encoding": "base64"});
    ask(&broker, "POST", "/api/exchanges/%2F/amq.default/publish", &binary, 200);
    let nowhere = json!({"properties": {}, "routing_key": "nowhere", "payload": "", "payload_encoding": "string"});
    assert_eq!(
        ask(&broker, "POST", "/api/exchanges/%2F/amq.default/publish", &nowhere, 200).json(),
        json!({"routed": false})
    );

    let taken = take(&broker, &queue, "ack_requeue_true");
    assert_eq!(taken[0]["properties"], properties);
    assert_eq!(
        (&taken[0]["payload"], &taken[0]["payload_encoding"], &taken[0]["payload_bytes"]),
        (&json!("grüß"), &json!("string"), &json!(6))
    );
    assert_eq!(
        (&taken[1]["payload"], &taken[1]["payload_encoding"]),
        (&json!("/wD/"), &json!("base64"))
    );
    assert_eq!((&taken[0]["message_count"], &taken[0]["redelivered"]), (&json!(1), &json!(false)));
    let again = take(&broker, &queue, "reject_requeue_true");
    assert_eq!(
        (again.as_array().unwrap().len(), &again[0]["redelivered"]),
        (2, &json!(true)),
        "in their old places"
    );
    assert_eq!(again[0]["payload"], "grüß");
    assert_eq!(take(&broker, &queue, "ack_requeue_false").as_array().unwrap().len(), 2);
    assert_eq!(take(&broker, &queue, "ack_requeue_false"), json!([]));
}

#[tokio::test]
async fn a_client_gets_what_was_published_over_http() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let queue = queue(&channel, "gotten").await;
    bind(&channel, &queue, "amq.topic", "a.*").await;
    let large = "x".repeat(10_000);
    for payload in ["small", &large] {
        let message = json!({"properties": [], "routing_key": "a.b", "payload": payload, "payload_encoding": "string"});
        ask(&broker, "POST", "/api/exchanges/%2F/amq.topic/publish", &message, 200);
    }
    let bodies = lapin::drain(&channel, &queue).await;
    assert_eq!(bodies, ["small".to_owned(), large]);
    let stats = get(&broker, &format!("/api/queues/%2F/{queue}"))["message_stats"].clone();
    assert_eq!(
        (&stats["publish"], &stats["get_no_ack"], &stats["get_empty"], &stats["deliver_get"]),
        (&json!(2), &json!(2), &json!(1), &json!(2))
    );
}

#[test]
fn what_amqp_refuses_is_refused() {
    let Some(broker) = Broker::own() else { return };
    ask(
        &broker,
        "PUT",
        "/api/exchanges/%2F/inner",
        &json!({"type": "fanout", "internal": true}),
        201,
    );
    ask(&broker, "PUT", "/api/queues/%2F/q", &json!({}), 201);
    let message = |more: Value| {
        let mut message = json!({"properties": {}, "routing_key": "q", "payload": "x", "payload_encoding": "string"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let publish = "/api/exchanges/%2F/amq.default/publish";
    for (path, body, status, named) in [
        (publish, json!({}), 400, "{key_missing,properties}"),
        (publish, message(json!({"payload_encoding": "hex"})), 400, "unsupported_encoding"),
        (
            publish,
            message(json!({"properties": {"expiration": "soon"}})),
            400,
            "invalid expiration 'soon'",
        ),
        (
            publish,
            message(json!({"properties": {"user_id": "other"}})),
            400,
            "authenticated user was 'guest'",
        ),
        (
            publish,
            message(json!({"properties": {"priority": 256}})),
            400,
            "priority should be a number",
        ),
        (
            "/api/exchanges/%2F/inner/publish",
            message(json!({})),
            401,
            "cannot publish to internal exchange",
        ),
        ("/api/exchanges/%2F/none/publish", message(json!({})), 404, "Not Found"),
        (
            "/api/queues/%2F/q/get",
            json!({"count": 1, "encoding": "auto", "ackmode": "perhaps"}),
            400,
            "ackmode_not_supported",
        ),
        ("/api/queues/%2F/none/get", json!({}), 404, "Not Found"),
    ] {
        let reason = ask(&broker, "POST", path, &body, status).json()["reason"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(reason.contains(named), "{path} {body}: {reason}");
    }
    assert_eq!(get(&broker, "/api/aliveness-test/%2F"), json!({"status": "ok"}));
}
