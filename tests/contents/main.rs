//! Queues' contents over HTTP: looked at without being consumed, removed and moved message by message, and who holds what; with a client on the
//! other side that sees what came of it.

#![allow(clippy::unwrap_used)]

mod browsing;
mod delayed;
mod holders;
mod latency;
mod moving;
mod removing;
#[path = "../support/mod.rs"]
mod support;

use serde_json::Value;
use support::Broker;
use support::http::{GUEST, send};

/// What `guest` is answered: the status and the JSON, null if there is none.
fn ask(broker: &Broker, method: &str, path: &str, body: &str) -> (u16, Value) {
    let response = send(broker.http(), method, path, GUEST, body);
    let json = if response.body.is_empty() { Value::Null } else { response.json() };
    (response.status, json)
}

fn ok(broker: &Broker, method: &str, path: &str, body: &str) -> Value {
    let (status, json) = ask(broker, method, path, body);
    assert!((200..300).contains(&status), "{method} {path}: {status} {json}");
    json
}

fn contents(queue: &str) -> String {
    format!("/api/queues/%2F/{queue}/contents")
}

/// A filter, as it stands in a query.
fn encoded(filter: &Value) -> String {
    filter
        .to_string()
        .bytes()
        .map(|octet| {
            if octet.is_ascii_alphanumeric() {
                char::from(octet).to_string()
            } else {
                format!("%{octet:02X}")
            }
        })
        .collect()
}

/// The texts of a field of a page's messages.
fn each<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    let messages = page["messages"].as_array().unwrap();
    messages.iter().map(|message| message[field].as_str().unwrap()).collect()
}
