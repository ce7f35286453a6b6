//! Exchanges, queues, bindings, virtual hosts, users, connections, channels and consumers.

use serde_json::{Value, json};

use super::support::http::{self, GUEST};
use super::support::lapin::*;
use super::support::{Broker, eventually};
use super::{ask, get};

const NONE: Value = Value::Null;

#[test]
fn what_is_declared_can_be_seen_bound_and_deleted() {
    let Some(broker) = Broker::own() else { return };
    let exchange = json!({"type": "topic", "durable": true, "arguments": {"x": 1}});
    ask(&broker, "PUT", "/api/exchanges/%2F/e%2F1", &exchange, 201);
    ask(&broker, "PUT", "/api/exchanges/%2F/e%2F1", &exchange, 204);
    let other = ask(&broker, "PUT", "/api/exchanges/%2F/e%2F1", &json!({"type": "direct"}), 400).json();
    assert_eq!(
        other["reason"],
        "inequivalent arg 'type' for exchange 'e/1' in vhost '/': received 'direct' but current is 'topic'"
    );
    ask(
        &broker,
        "PUT",
        "/api/queues/%2F/q",
        &json!({"durable": "true", "arguments": {"x-max-length": 5}}),
        201,
    );
    assert_eq!(get(&broker, "/api/queues/%2F/q")["arguments"], json!({"x-max-length": 5}));

    let between = "/api/bindings/%2F/e/e%2F1/q/q";
    let bound = ask(&broker, "POST", between, &json!({"routing_key": "a.*", "arguments": {}}), 201);
    assert!(bound.head.contains("location: q/a.%252a"), "{}", bound.head);
    ask(&broker, "POST", between, &json!({"routing_key": "a", "arguments": {"k": 1}}), 201);
    ask(&broker, "POST", between, &json!({}), 201);
    let keys: Vec<_> = get(&broker, between)
        .as_array()
        .unwrap()
        .iter()
        .map(|binding| binding["properties_key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(keys[0], "~");
    assert!(keys[1].starts_with("a~") && keys[2] == "a.%2A", "{keys:?}");
    assert_eq!(
        get(&broker, "/api/queues/%2F/q/bindings").as_array().unwrap().len(),
        4,
        "the default one included"
    );
    assert_eq!(
        get(&broker, "/api/exchanges/%2F/e%2F1/bindings/source").as_array().unwrap().len(),
        3
    );
    for key in keys {
        let path = format!("{between}/{key}");
        assert_eq!(get(&broker, &path)["destination"], "q");
        ask(&broker, "DELETE", &path, &NONE, 204);
        ask(&broker, "DELETE", &path, &NONE, 404);
    }
    ask(&broker, "POST", "/api/bindings/%2F/e/none/q/q", &json!({}), 404);
    ask(&broker, "DELETE", "/api/queues/%2F/q?if-empty=true", &NONE, 204);
    ask(&broker, "DELETE", "/api/queues/%2F/q", &NONE, 404);
    ask(&broker, "DELETE", "/api/exchanges/%2F/e%2F1", &NONE, 204);
    ask(&broker, "DELETE", "/api/exchanges/%2F/amq.direct", &NONE, 401);
    ask(&broker, "PUT", "/api/queues/%2F/amq.q", &json!({}), 401);
    ask(&broker, "PUT", "/api/queues/nowhere/q", &json!({}), 404);
}

#[tokio::test]
async fn a_virtual_host_goes_with_all_that_is_in_it() {
    let Some(broker) = Broker::own() else { return };
    ask(&broker, "PUT", "/api/vhosts/v", &json!({"description": "Mine", "tags": "a,b"}), 201);
    ask(&broker, "PUT", "/api/vhosts/v", &json!({}), 204);
    let view = get(&broker, "/api/vhosts/v");
    assert_eq!(
        (&view["description"], &view["tags"], &view["metadata"]["tags"]),
        (&json!("Mine"), &json!(["a", "b"]), &json!(["a", "b"]))
    );
    assert_eq!(
        get(&broker, "/api/vhosts/v/permissions")[0]["user"],
        "guest",
        "who makes it may use it"
    );
    ask(&broker, "PUT", "/api/queues/v/q", &json!({}), 201);
    let connection = connect_to(&broker.uri().replace("%2f", "v").replace("%2F", "v")).await;
    let in_vhost = get(&broker, "/api/vhosts/v/connections");
    assert_eq!(in_vhost.as_array().unwrap().len(), 1, "{in_vhost}");
    ask(&broker, "DELETE", "/api/vhosts/v", &NONE, 204);
    eventually("the connection is closed", async || {
        (!connection.status().connected()).then_some(())
    })
    .await;
    ask(&broker, "GET", "/api/queues/v", &NONE, 404);
    ask(&broker, "DELETE", "/api/vhosts/v", &NONE, 404);
    ask(&broker, "PUT", "/api/vhosts/v", &json!({}), 201);
    assert_eq!(get(&broker, "/api/queues/v"), json!([]));
}

#[tokio::test]
async fn connections_channels_and_consumers_are_seen_and_closed() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    prefetch(&channel, 7).await;
    let queue = queue(&channel, "consumed").await;
    let _consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    publish(&channel, &queue, "m").await;
    let listed = get(&broker, "/api/connections");
    let name = listed[0]["name"].as_str().unwrap().to_owned();
    for (field, expected) in [
        ("user", json!("guest")),
        ("vhost", json!("/")),
        ("state", json!("running")),
        ("channels", json!(1)),
        ("auth_mechanism", json!("PLAIN")),
    ] {
        assert_eq!(listed[0][field], expected, "{field}");
    }
    let encoded = name.replace(' ', "%20").replace('>', "%3E");
    let channels = async || {
        let channels = get(&broker, &format!("/api/connections/{encoded}/channels"));
        (channels[0]["messages_unacknowledged"] == 1).then_some(channels)
    };
    let channels = eventually("the delivery", channels).await;
    assert_eq!(
        (&channels[0]["prefetch_count"], &channels[0]["consumer_count"], &channels[0]["name"]),
        (&json!(7), &json!(1), &json!(format!("{name} (1)")))
    );
    let consumers = get(&broker, "/api/consumers/%2F");
    assert_eq!(
        (&consumers[0]["queue"]["name"], &consumers[0]["channel_details"]["connection_name"]),
        (&json!(queue), &json!(name))
    );
    assert_eq!(
        get(&broker, &format!("/api/queues/%2F/{queue}"))["consumer_details"][0]["prefetch_count"],
        7
    );
    let headers = format!("{GUEST}X-Reason: spring cleaning\r\n");
    let closed = http::send(broker.http(), "DELETE", &format!("/api/connections/{encoded}"), &headers, "");
    assert_eq!(closed.status, 204);
    let reason = eventually("the connection is closed", async || {
        channel.basic_qos(1, BasicQosOptions::default()).await.err()
    })
    .await;
    drop(reason);
    eventually("nobody is there", async || {
        (get(&broker, "/api/connections") == json!([])).then_some(())
    })
    .await;
}

#[test]
fn users_and_parameters_come_and_go() {
    let Some(broker) = Broker::own() else { return };
    ask(&broker, "PUT", "/api/users/u", &json!({"password": "p"}), 400);
    ask(
        &broker,
        "PUT",
        "/api/users/u",
        &json!({"password": "p", "tags": "management, custom"}),
        201,
    );
    let view = get(&broker, "/api/users/u");
    assert_eq!(
        (&view["tags"], &view["hashing_algorithm"]),
        (&json!(["management", "custom"]), &json!("argon2id"))
    );
    assert_eq!(get(&broker, "/api/users/without-permissions")[0]["name"], "u");
    let some = json!({"configure": "^a", "write": "", "read": "("});
    ask(&broker, "PUT", "/api/permissions/%2F/u", &some, 400);
    ask(&broker, "PUT", "/api/permissions/%2F/nobody", &some, 400);
    ask(
        &broker,
        "PUT",
        "/api/permissions/%2F/u",
        &json!({"configure": "^a", "write": "", "read": ".*"}),
        201,
    );
    assert_eq!(
        get(&broker, "/api/users/u/permissions"),
        json!([{"user": "u", "vhost": "/", "configure": "^a", "write": "", "read": ".*"}])
    );
    ask(&broker, "POST", "/api/users/bulk-delete", &json!({"users": ["u", "nobody"]}), 204);
    ask(&broker, "GET", "/api/users/u", &NONE, 404);
    ask(
        &broker,
        "PUT",
        "/api/global-parameters/g",
        &json!({"name": "g", "value": [1, {"a": null}]}),
        201,
    );
    assert_eq!(
        get(&broker, "/api/global-parameters/g"),
        json!({"name": "g", "value": [1, {"a": null}]})
    );
    ask(&broker, "DELETE", "/api/global-parameters/g", &NONE, 204);
    ask(
        &broker,
        "PUT",
        "/api/parameters/shovel/%2F/s",
        &json!({"value": {"src-uri": "amqp://"}}),
        201,
    );
    assert_eq!(get(&broker, "/api/parameters/shovel/%2F")[0]["name"], "s");
    ask(&broker, "PUT", "/api/parameters/none/%2F/s", &json!({"value": {}}), 400);
    ask(&broker, "PUT", "/api/cluster-name", &json!({"name": "north"}), 204);
    assert_eq!(get(&broker, "/api/overview")["cluster_name"], "north");
}

#[test]
fn health_is_checked() {
    let Some(broker) = Broker::own() else { return };
    let port = broker.http().port();
    for path in [
        "alarms",
        "local-alarms",
        "virtual-hosts",
        "node-is-quorum-critical",
        "certificate-expiration/1/weeks",
        "protocol-listener/amqp",
    ] {
        assert_eq!(get(&broker, &format!("/api/health/checks/{path}"))["status"], "ok", "{path}");
    }
    assert_eq!(
        get(&broker, &format!("/api/health/checks/port-listener/{port}")),
        json!({"status": "ok", "port": port})
    );
    let missing = ask(&broker, "GET", "/api/health/checks/port-listener/1", &NONE, 503).json();
    assert_eq!((&missing["status"], &missing["missing"]), (&json!("failed"), &json!(1)));
    ask(&broker, "GET", "/api/health/checks/certificate-expiration/1/moons", &NONE, 400);
}
