//! Every route of the API against every kind of user: `permissions.txt` says what each is answered. The routes are those that the broker itself lists, so a
//! new route without a line there fails. With `UPDATE_SNAPSHOTS` set the table is written instead: look at what git says of it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::support::Broker;
use super::support::http::{self, GUEST, Response};
use super::{ask, basic, user};

const TABLE: &str = include_str!("permissions.txt");
const HEAD: &str = "\
# Every route of the API, and the status that each kind of user is answered (tests/management/permissions.rs):
# nobody (no password), user (no tag), stranger (management, without permissions in the virtual host), management, policymaker, monitoring (these with
# permissions), administrator (without). What a path names exists, but for connections, channels, messages and feature flags.
";

/// A route as the OpenAPI document lists it.
struct Route {
    method: String,
    path: String,
    /// It reads a body.
    takes_body: bool,
    is_public: bool,
}

fn routes(broker: &Broker) -> Vec<Route> {
    let document = http::get(broker.http(), "/api/openapi.json", "").json();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let fields = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
            routes.push(Route {
                method: method.to_uppercase(),
                path: path.clone(),
                takes_body: fields.as_object().is_some_and(|fields| !fields.is_empty()),
                is_public: operation["security"] == json!([]),
            });
        }
    }
    routes
}

impl Route {
    /// The path with names in it that exist.
    fn filled(&self, broker: &Broker) -> String {
        let name = if self.path.contains("global") { "g" } else { "s" };
        let limit = if self.path.contains("user") { "max-channels" } else { "max-queues" };
        let exchange = if self.path.contains("/delayed") { "d" } else { "e" };
        let file = if self.path.starts_with("/css") {
            "base.css"
        } else if self.path.starts_with("/vendor") {
            "uplot/uPlot.min.css"
        } else {
            "main.js"
        };
        let (vhost, queue, user, port) = ("v", "q", "victim", broker.amqp().port().to_string());
        let fill = |part: &str| match part {
            "{vhost}" => vhost.to_owned(),
            "{queue}" | "{destination}" | "{kind}" => queue.to_owned(),
            "{source}" => "e".to_owned(),
            "{exchange}" => exchange.to_owned(),
            "{key}" => "k".to_owned(),
            "{user}" => user.to_owned(),
            "{policy}" => "p".to_owned(),
            "{component}" => "shovel".to_owned(),
            "{name}" => name.to_owned(),
            "{limit}" => limit.to_owned(),
            "{node}" => "stoa@localhost".to_owned(),
            "{id}" => "99999".to_owned(),
            "{port}" => port.clone(),
            "{protocol}" => "amqp".to_owned(),
            "{within}" => "1".to_owned(),
            "{unit}" => "weeks".to_owned(),
            "{file}" => file.to_owned(),
            "{connection}" | "{channel}" | "{flag}" | "{password}" => "none".to_owned(),
            other => {
                assert!(!other.starts_with('{'), "which {other} should be asked for?");
                other.to_owned()
            }
        };
        self.path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// A body that the route takes.
    fn body(&self) -> String {
        let body = match &*self.path {
            "/api/login" => json!({"username": "guest", "password": "guest"}),
            "/api/cluster-name" => json!({"name": "stoa"}),
            "/api/queues/{vhost}/{queue}" | "/api/exchanges/{vhost}/{exchange}" => json!({"durable": true}),
            "/api/queues/{vhost}/{queue}/actions" => json!({"action": "sync"}),
            "/api/queues/{vhost}/{queue}/get" => json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}),
            "/api/queues/{vhost}/{queue}/contents/move" => json!({"ids": [], "destination": {"queue": "q"}}),
            path if path.ends_with("/publish") => {
                json!({"properties": {}, "routing_key": "k", "payload": "m", "payload_encoding": "string"})
            }
            path if path.ends_with("/delayed/{id}") => json!({"delay_ms": 1}),
            path if path.contains("/bindings/") => json!({"routing_key": "k"}),
            path if path.contains("policies/") => json!({"pattern": "x", "definition": {"max-length": 1}}),
            path if path.contains("parameters/") || path.contains("limits/") => {
                json!({"value": if path.contains("limits") { json!(9) } else { json!({}) }})
            }
            "/api/users/bulk-delete" => json!({"users": ["victim"]}),
            "/api/users/{user}" => json!({"password_hash": "", "tags": ""}),
            path if path.contains("topic-permissions/") => json!({"exchange": "e", "write": "", "read": ""}),
            path if path.contains("permissions/") => json!({"configure": "", "write": "", "read": ""}),
            _ => json!({}),
        };
        if self.method == "PUT" || self.method == "POST" {
            body.to_string()
        } else {
            String::new()
        }
    }

    fn send(&self, broker: &Broker, headers: &str) -> Response {
        http::send(broker.http(), &self.method, &self.filled(broker), headers, &self.body())
    }
}

/// What paths name, as it was; these users may do everything in the virtual host.
fn restore(broker: &Broker, entering: &[&str]) {
    let may = |user: &str| json!({"user": user, "vhost": "v", "configure": ".*", "write": ".*", "read": ".*"});
    let parameter = |component: &str, name: &str, value: Value| json!({"vhost": "v", "component": component, "name": name, "value": value});
    let policy = json!({"pattern": "x", "definition": {"max-length": 1}, "priority": 0, "apply-to": "all"});
    let document = json!({
        "vhosts": [{"name": "v"}],
        "users": [{"name": "victim", "password_hash": "", "tags": []}],
        "permissions": entering.iter().chain(&["victim"]).map(|user| may(user)).collect::<Vec<_>>(),
        "topic_permissions": [{"user": "victim", "vhost": "v", "exchange": "e", "write": "", "read": ""}],
        "global_parameters": [{"name": "g", "value": {}}],
        "parameters": [parameter("shovel", "s", json!({})), parameter("operator_policy", "p", policy.clone()), parameter("vhost-limits", "limits", json!({"max-queues": 9}))],
        "policies": [{"vhost": "v", "name": "p", "pattern": "x", "definition": {"max-length": 1}, "priority": 0, "apply-to": "all"}],
        "queues": [{"vhost": "v", "name": "q", "durable": true, "auto_delete": false, "arguments": {}}],
        "exchanges": [
            {"vhost": "v", "name": "e", "type": "direct", "durable": true, "auto_delete": false, "internal": false, "arguments": {}},
            {"vhost": "v", "name": "d", "type": "x-delayed-message", "durable": true, "auto_delete": false, "internal": false, "arguments": {"x-delayed-type": "direct"}},
        ],
        "bindings": [{"vhost": "v", "source": "e", "destination": "q", "destination_type": "queue", "routing_key": "k", "arguments": {}}],
    });
    ask(broker, "POST", "/api/definitions", &document, 204);
    let limit = http::send(
        broker.http(),
        "PUT",
        "/api/user-limits/victim/max-channels",
        GUEST,
        r#"{"value": 9}"#,
    );
    assert!(limit.status < 300, "{}", limit.body);
}

#[test]
fn every_route_answers_every_user_as_the_table_says() {
    let Some(broker) = Broker::own() else { return };
    let callers: Vec<String> = ["", "user", "stranger", "management", "policymaker", "monitoring", "administrator"]
        .map(|name| match name {
            "" => String::new(),
            "user" => user(&broker, name, "", false),
            "stranger" => user(&broker, name, "management", false),
            name => user(&broker, name, name, false),
        })
        .into();
    let entering = ["user", "management", "policymaker", "monitoring"];
    restore(&broker, &entering);
    let mut table = HEAD.to_owned();
    for route in routes(&broker) {
        write!(table, "{:6} {:62}", route.method, route.path).unwrap();
        for caller in &callers {
            let answer = route.send(&broker, caller);
            write!(table, " {}", answer.status).unwrap();
            assert_is_hardened(&route, &answer);
            if route.method != "GET" && answer.status < 300 {
                restore(&broker, &entering);
            }
        }
        table.push('\n');
    }
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/management/permissions.txt"), &table).unwrap();
        return;
    }
    let differences: Vec<_> = table
        .lines()
        .filter(|line| !TABLE.lines().any(|expected| expected == *line))
        .collect();
    assert!(
        differences.is_empty(),
        "these are not in permissions.txt:\n{}",
        differences.join("\n")
    );
    assert_eq!(
        TABLE.lines().count(),
        table.lines().count(),
        "permissions.txt has routes that are not there any more"
    );
}

fn assert_is_hardened(route: &Route, answer: &Response) {
    for header in [
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "content-security-policy: default-src 'none'",
        "referrer-policy: same-origin",
    ] {
        assert!(answer.head.contains(header), "{} {}: {header}", route.method, route.path);
    }
    assert!(
        !answer.head.contains("access-control-allow-origin"),
        "{} {}",
        route.method,
        route.path
    );
    if answer.status >= 400 {
        let error = answer.json();
        assert!(
            error["error"].is_string() && !error["reason"].is_null(),
            "{} {}: {error}",
            route.method,
            route.path
        );
    }
}

/// A page elsewhere can make a browser send the cookie, but knows no token.
#[test]
fn no_route_that_changes_something_takes_a_cookie_alone() {
    let Some(broker) = Broker::own() else { return };
    let login = http::send(broker.http(), "POST", "/api/login", "", "username=guest&password=guest");
    let cookie = login.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    for route in routes(&broker) {
        if route.method == "GET" || route.is_public {
            continue;
        }
        for headers in [cookie.clone(), format!("{cookie}X-CSRF-Token: 0123\r\n")] {
            let answer = route.send(&broker, &headers);
            assert_eq!(
                (answer.status, &answer.json()["error"]),
                (403, &json!("forbidden")),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}

#[test]
fn every_body_is_bounded_and_has_to_be_json() {
    let Some(broker) = Broker::own_with(&["--set", "management.body_bytes_max=8KiB"]) else {
        return;
    };
    restore(&broker, &["guest"]);
    for route in routes(&broker) {
        if !route.takes_body {
            continue;
        }
        let send = |body: &str| http::send(broker.http(), &route.method, &route.filled(&broker), GUEST, body);
        let what = format!("{} {}", route.method, route.path);
        assert_eq!(send(&" ".repeat(8193)).status, 413, "{what}");
        for wrong in ["{", "[]", "\"text\"", "{} {}", "\u{0}", &"[".repeat(4000)] {
            let answer = send(wrong);
            assert_eq!(answer.status, 400, "{what} with {wrong:.10}: {}", answer.body);
        }
    }
}

/// What AMQP's permissions are needed for: `reads`, `writes` and `configures` have one each.
#[test]
fn permissions_of_amqp_hold_over_http() {
    let Some(broker) = Broker::own() else { return };
    restore(&broker, &[]);
    let callers = ["reads", "writes", "configures"].map(|name| {
        user(&broker, name, "management", false);
        let may = |what: &str| if name == what { ".*" } else { "" };
        let permission = json!({"configure": may("configures"), "write": may("writes"), "read": may("reads")});
        ask(&broker, "PUT", &format!("/api/permissions/v/{name}"), &permission, 201);
        basic(name, "geheim")
    });
    let message = r#"{"properties": {}, "routing_key": "k", "payload": "m", "payload_encoding": "string"}"#;
    let get = r#"{"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}"#;
    let all_to_q = r#"{"filter": {}, "destination": {"queue": "q"}}"#;
    let cases = [
        ("POST", "/api/exchanges/v/e/publish", message, [401, 200, 401]),
        ("POST", "/api/queues/v/q/get", get, [200, 401, 401]),
        ("GET", "/api/queues/v/q/contents", "", [200, 401, 401]),
        ("GET", "/api/queues/v/q/contents/0", "", [200, 401, 401]),
        ("GET", "/api/queues/v/q/unacked", "", [200, 401, 401]),
        // To move is to read there and to write here.
        ("POST", "/api/queues/v/q/contents/move", all_to_q, [401, 401, 401]),
        ("DELETE", "/api/queues/v/q/contents/0", "", [204, 401, 401]),
        ("DELETE", "/api/queues/v/q/contents?filter=%7B%7D", "", [200, 401, 401]),
        ("DELETE", "/api/queues/v/q/contents", "", [204, 401, 401]),
        ("GET", "/api/exchanges/v/d/delayed", "", [200, 401, 401]),
        ("DELETE", "/api/exchanges/v/d/delayed/0", "", [401, 404, 401]),
        ("PUT", "/api/exchanges/v/d/delayed/0", r#"{"delay_ms": 1}"#, [401, 404, 401]),
        ("PUT", "/api/queues/v/new", "{}", [401, 401, 201]),
        ("PUT", "/api/exchanges/v/new", "{}", [401, 401, 201]),
        // Binding takes write on the queue and read on the exchange.
        ("POST", "/api/bindings/v/e/e/q/q", "{}", [401, 401, 401]),
        ("DELETE", "/api/bindings/v/e/e/q/q/k", "", [401, 401, 401]),
        ("DELETE", "/api/queues/v/new", "", [401, 401, 204]),
        ("DELETE", "/api/exchanges/v/new", "", [401, 401, 204]),
        // What is declared is no secret to those who see the virtual host.
        ("GET", "/api/queues/v/q", "", [200, 200, 200]),
        ("GET", "/api/exchanges/v/e", "", [200, 200, 200]),
    ];
    for (method, path, body, expected) in cases {
        let got = callers
            .each_ref()
            .map(|caller| http::send(broker.http(), method, path, caller, body).status);
        assert_eq!(got, expected, "{method} {path}");
    }
}
