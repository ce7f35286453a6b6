//! The dashboard in a real browser: Debian's Chromium, driven through chromedriver. Pictures of every page are kept below the target directory, in
//! `tmp/dashboard`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod axe;
mod driver;
mod keyboard;
mod looks;
mod page;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod work;

use serde_json::{Value, json};
use support::Broker;
use support::http::{self, GUEST};

/// What `guest` asks of the API, which does it.
fn ask(broker: &Broker, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = http::send(broker.http(), method, path, GUEST, &body);
    assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

fn declare(broker: &Broker, queue: &str) {
    ask(broker, "PUT", &format!("/api/queues/%2F/{queue}"), &json!({"durable": true}));
}

fn publish(broker: &Broker, queue: &str, payload: &str) {
    let properties = json!({"delivery_mode": 2, "content_type": "application/json"});
    let message = json!({"properties": properties, "routing_key": queue, "payload": payload, "payload_encoding": "string"});
    ask(broker, "POST", "/api/exchanges/%2F/amq.default/publish", &message);
}

/// How many messages are ready.
fn ready(broker: &Broker, queue: &str) -> Value {
    ask(broker, "GET", &format!("/api/queues/%2F/{queue}"), &Value::Null)["messages_ready"].clone()
}
