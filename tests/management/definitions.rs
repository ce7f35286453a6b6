//! Definitions that RabbitMQ exported come in as they are, last, and go out to the same meaning.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::support::Broker;
use super::support::http;
use super::{ask, basic, get};

const RABBITMQ_3_10: &str = include_str!("rabbitmq-3.10-definitions.json");

/// What Stoa adds or says otherwise: hashes of users that have logged in, descriptions that RabbitMQ 3.10 leaves out, types of queues.
fn meaning(document: &Value, part: &str) -> BTreeSet<String> {
    let entries = document[part].as_array().unwrap_or_else(|| panic!("{part}: {document}"));
    let keep = |entry: &Value| {
        let mut entry = entry.clone();
        let fields = entry.as_object_mut().unwrap();
        if part == "vhosts" {
            fields.retain(|name, _| name == "name");
        }
        if part == "queues" {
            fields.remove("type");
        }
        if fields.get("name").is_some_and(|name| name == "guest") {
            fields.remove("password_hash");
        }
        entry.to_string()
    };
    entries.iter().map(keep).collect()
}

const PARTS: [&str; 10] = [
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "queues",
    "exchanges",
    "bindings",
];

#[test]
fn what_rabbitmq_exported_comes_in_and_goes_out() {
    let Some(mut broker) = Broker::own() else { return };
    let document: Value = serde_json::from_str(RABBITMQ_3_10).unwrap();
    for time in ["first", "second"] {
        ask(&broker, "POST", "/api/definitions", &document, 204);
        let exported = get(&broker, "/api/definitions");
        for part in PARTS {
            assert_eq!(meaning(&exported, part), meaning(&document, part), "{part}, the {time} time");
        }
    }
    broker.restart();
    let mut exported = get(&broker, "/api/definitions");
    // What is not durable has gone with the restart.
    let mut lasting = document.clone();
    for document in [&mut lasting, &mut exported] {
        document["queues"].as_array_mut().unwrap().retain(|queue| queue["durable"] == true);
    }
    for part in PARTS {
        assert_eq!(meaning(&exported, part), meaning(&lasting, part), "{part}, after a restart");
    }
}

#[test]
fn hashed_passwords_are_good_and_are_kept_better_after_a_login() {
    let Some(broker) = Broker::own() else { return };
    ask(
        &broker,
        "POST",
        "/api/definitions",
        &serde_json::from_str(RABBITMQ_3_10).unwrap(),
        204,
    );
    let whoami = |user: &str, password: &str| http::get(broker.http(), "/api/whoami", &basic(user, password)).status;
    assert_eq!(
        (whoami("ann", "wrong"), whoami("ann", "geheim"), whoami("nobody", "")),
        (401, 200, 401)
    );
    let start = std::time::Instant::now();
    while get(&broker, "/api/users/ann")["hashing_algorithm"] != "argon2id" {
        assert!(start.elapsed() < super::support::DEADLINE, "the hash was not renewed");
        std::thread::yield_now();
    }
    assert_eq!((whoami("ann", "wrong"), whoami("ann", "geheim")), (401, 200));
}

#[test]
fn a_virtual_host_is_exported_and_imported_alone() {
    let Some(broker) = Broker::own() else { return };
    ask(
        &broker,
        "POST",
        "/api/definitions",
        &serde_json::from_str(RABBITMQ_3_10).unwrap(),
        204,
    );
    let exported = get(&broker, "/api/definitions/orders");
    assert!(exported["queues"][0].get("vhost").is_none(), "{exported}");
    ask(&broker, "PUT", "/api/vhosts/copy", &json!({}), 201);
    ask(&broker, "POST", "/api/definitions/copy", &exported, 204);
    let copied = get(&broker, "/api/definitions/copy");
    for part in ["parameters", "policies", "queues", "exchanges", "bindings"] {
        assert_eq!(meaning(&copied, part), meaning(&exported, part), "{part}");
    }
    ask(&broker, "POST", "/api/definitions/nowhere", &exported, 404);
}

#[test]
fn what_rabbitmq_4_writes_otherwise_is_understood() {
    let Some(broker) = Broker::own() else { return };
    let document = json!({
        "rabbitmq_version": "4.1.0", "rabbit_version": "4.1.0", "product_name": "RabbitMQ", "rabbitmq_definition_format": "cluster",
        "original_cluster_name": "rabbit@host", "explanation": "Definitions of cluster 'rabbit@host'",
        "users": [{"name": "u", "password_hash": "k0Ngr/61fx8DwSnHGXLJJ2ge799kVA4ImL93JRgwdvUnNVOP", "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["management"], "limits": {}}],
        "vhosts": [{"name": "v", "description": "Four", "tags": ["a"], "default_queue_type": "quorum", "limits": [],
            "metadata": {"description": "Four", "tags": ["a"], "default_queue_type": "quorum"}}],
        "permissions": [{"user": "u", "vhost": "v", "configure": "", "write": ".*", "read": ".*"}],
        "topic_permissions": [], "parameters": [], "global_parameters": [{"name": "cluster_tags", "value": {"region": "eu"}}],
        "policies": [{"vhost": "v", "name": "p", "pattern": "^c", "apply-to": "classic_queues", "definition": {"max-length": 5}, "priority": 1}],
        "queues": [{"name": "q", "vhost": "v", "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "quorum"}},
            {"name": "c", "vhost": "v", "type": "classic", "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "classic"}}],
        "exchanges": [], "bindings": [],
    });
    ask(&broker, "POST", "/api/definitions", &document, 204);
    let exported = get(&broker, "/api/definitions");
    assert_eq!(meaning(&exported, "queues"), meaning(&document, "queues"));
    let vhost = get(&broker, "/api/vhosts/v");
    assert_eq!(
        (&vhost["description"], &vhost["tags"], &vhost["default_queue_type"]),
        (&json!("Four"), &json!(["a"]), &json!("quorum"))
    );
    assert_eq!(get(&broker, "/api/queues/v/c")["policy"], "p");
    ask(
        &broker,
        "PUT",
        "/api/permissions/v/guest",
        &json!({"configure": ".*", "write": ".*", "read": ".*"}),
        201,
    );
    ask(&broker, "PUT", "/api/queues/v/untyped", &json!({"durable": true}), 201);
    assert_eq!(
        get(&broker, "/api/queues/v/untyped")["type"],
        "quorum",
        "the default of its virtual host"
    );
}

#[test]
fn what_is_wrong_with_a_document_is_named() {
    let Some(broker) = Broker::own() else { return };
    for (document, named) in [
        (json!({"queues": [{"name": "q"}]}), "queue \"q\": [{key_missing,vhost}]"),
        (json!({"queues": [{"name": "q", "vhost": "nowhere"}]}), "vhost nowhere not found"),
        (json!({"users": {}}), "users should be a list of objects"),
        (
            json!({"users": [{"name": "u", "password_hash": "!", "tags": ""}]}),
            "password_hash is not one of",
        ),
        (
            json!({"exchanges": [{"name": "e", "vhost": "/", "type": "none"}]}),
            "unknown exchange type 'none'",
        ),
        (
            json!({"bindings": [{"source": "none", "vhost": "/", "destination": "q", "destination_type": "queue"}]}),
            "no exchange 'none'",
        ),
    ] {
        let response = http::send(broker.http(), "POST", "/api/definitions", http::GUEST, &document.to_string());
        assert!((400..=404).contains(&response.status), "{document}: {}", response.status);
        let reason = response.json()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(named), "{document}: {reason}");
    }
    ask(&broker, "POST", "/api/definitions", &json!([]), 400);
}
