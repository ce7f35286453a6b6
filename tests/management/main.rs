//! The management API over HTTP: what is declared, changed and listed there, and who may.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod attention;
mod definitions;
mod logins;
mod messages;
mod permissions;
mod rabbitmqadmin;
mod resources;
mod statistics;
mod tools;

use serde_json::{Value, json};
use support::Broker;
use support::http::{self, GUEST, Response};

/// What `guest` asks for, with an answer of that status.
fn ask(broker: &Broker, method: &str, path: &str, body: &Value, status: u16) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let response = http::send(broker.http(), method, path, GUEST, &body);
    assert_eq!(response.status, status, "{method} {path}: {}", response.body);
    response
}

fn get(broker: &Broker, path: &str) -> Value {
    ask(broker, "GET", path, &Value::Null, 200).json()
}

/// `Authorization` of a user.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {encoded}\r\n")
}

/// A user with these tags, and all permissions in `/` if wanted; its header.
fn user(broker: &Broker, name: &str, tags: &str, may: bool) -> String {
    ask(
        broker,
        "PUT",
        &format!("/api/users/{name}"),
        &json!({"password": "geheim", "tags": tags}),
        201,
    );
    if may {
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        ask(broker, "PUT", &format!("/api/permissions/%2F/{name}"), &all, 201);
    }
    basic(name, "geheim")
}
