//! Who may use the API: tags, virtual hosts, sessions, and how many failed logins there may be.

use serde_json::{Value, json};

use super::support::Broker;
use super::support::http::{self, GUEST};
use super::{ask, basic, user};

#[test]
fn tags_say_who_may_do_what() {
    let Some(broker) = Broker::own() else { return };
    ask(&broker, "PUT", "/api/vhosts/other", &json!({}), 201);
    let [none, management, policymaker, monitoring, administrator] = ["none", "management", "policymaker", "monitoring", "administrator"]
        .map(|tag| user(&broker, &format!("u-{tag}"), tag, tag != "administrator"));
    let policy = json!({"pattern": "x", "definition": {"max-length": 1}}).to_string();
    let cases: &[(&str, &str, &str, [u16; 5])] = &[
        ("GET", "/api/overview", "", [401, 200, 200, 200, 200]),
        ("GET", "/api/whoami", "", [401, 200, 200, 200, 200]),
        ("GET", "/api/nodes", "", [401, 401, 401, 200, 200]),
        ("GET", "/api/users", "", [401, 401, 401, 401, 200]),
        ("GET", "/api/definitions", "", [401, 401, 401, 401, 200]),
        ("GET", "/api/queues/%2F", "", [401, 200, 200, 200, 200]),
        ("GET", "/api/queues/other", "", [401, 401, 401, 200, 200]),
        ("GET", "/api/queues/nowhere", "", [401, 404, 404, 404, 404]),
        ("PUT", "/api/policies/%2F/p", &policy, [401, 401, 201, 401, 204]),
        ("PUT", "/api/policies/other/p", &policy, [401, 401, 401, 401, 201]),
        ("PUT", "/api/operator-policies/%2F/p", &policy, [401, 401, 401, 401, 201]),
        ("PUT", "/api/queues/%2F/q", "{}", [401, 201, 204, 204, 401]),
        ("PUT", "/api/vhosts/new", "{}", [401, 401, 401, 401, 201]),
    ];
    for (method, path, body, expected) in cases {
        let got = [&none, &management, &policymaker, &monitoring, &administrator]
            .map(|header| http::send(broker.http(), method, path, header, body).status);
        assert_eq!(got, *expected, "{method} {path}");
    }
    let vhosts = http::get(broker.http(), "/api/vhosts", &management).json();
    assert_eq!(vhosts.as_array().unwrap().len(), 1, "the others are not visible");
}

#[test]
fn a_session_is_a_cookie_and_a_token() {
    let Some(broker) = Broker::own() else { return };
    let refused = http::send(
        broker.http(),
        "POST",
        "/api/login",
        "",
        r#"{"username":"guest","password":"wrong"}"#,
    );
    assert_eq!(refused.status, 401);
    let begun = http::send(broker.http(), "POST", "/api/login", "", "username=guest&password=guest");
    assert_eq!(begun.status, 200, "{}", begun.body);
    let cookie = begun.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("httponly") && cookie.contains("samesite=strict"), "{cookie}");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let token = begun.json()["csrf_token"].as_str().unwrap().to_owned();
    assert_eq!(http::get(broker.http(), "/api/whoami", &cookie).json()["name"], "guest");
    assert_eq!(http::get(broker.http(), "/api/login", &cookie).json()["csrf_token"], token.as_str());
    let forged = http::send(broker.http(), "PUT", "/api/queues/%2F/forged", &cookie, "{}");
    assert_eq!((forged.status, &forged.json()["error"]), (403, &Value::from("forbidden")));
    let with_token = format!("{cookie}X-CSRF-Token: {token}\r\n");
    assert_eq!(
        http::send(broker.http(), "PUT", "/api/queues/%2F/meant", &with_token, "{}").status,
        201
    );
    assert_eq!(http::send(broker.http(), "DELETE", "/api/login", &cookie, "").status, 204);
    assert_eq!(http::get(broker.http(), "/api/whoami", &cookie).status, 401);
}

#[test]
fn after_too_many_failures_nobody_is_asked() {
    let Some(broker) = Broker::own() else { return };
    user(&broker, "victim", "management", true);
    let status = |password: &str| http::get(broker.http(), "/api/whoami", &basic("victim", password)).status;
    for _ in 0..10 {
        assert_eq!(status("wrong"), 401);
    }
    assert_eq!((status("wrong"), status("geheim")), (429, 429));
    assert_eq!(
        http::get(broker.http(), "/api/whoami", GUEST).status,
        200,
        "others are not kept out"
    );
    let attempts = super::get(&broker, "/api/auth/attempts/stoa@localhost");
    assert_eq!(
        (&attempts[0]["protocol"], &attempts[0]["auth_attempts_failed"]),
        (&Value::from("http"), &Value::from(10))
    );
}

#[test]
fn answers_keep_browsers_safe() {
    let Some(broker) = Broker::own() else { return };
    let answer = http::get(
        broker.http(),
        "/api/overview",
        &format!("{GUEST}Origin: https://elsewhere.example\r\n"),
    );
    for header in [
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "content-security-policy:",
        "cache-control: no-store",
    ] {
        assert!(answer.head.contains(header), "{header} in {}", answer.head);
    }
    assert!(!answer.head.contains("access-control"), "{}", answer.head);
    let large = http::send(broker.http(), "POST", "/api/definitions", GUEST, &"x".repeat((16 << 20) + 1));
    assert_eq!(large.status, 413);
    assert_eq!(
        ask(&broker, "PATCH", "/api/queues", &Value::Null, 405).json()["error"],
        "method_not_allowed"
    );
    let options = http::send(broker.http(), "OPTIONS", "/api/queues/%2F/q", GUEST, "");
    assert!(options.status == 200 && options.head.contains("allow: "), "{}", options.head);
}

#[tokio::test]
async fn failures_over_amqp_count_with_those_over_http() {
    use super::support::lapin::{Connection, ConnectionProperties};
    let Some(broker) = Broker::own() else { return };
    let header = user(&broker, "slow", "management", true);
    let log_in = async |password: &str| {
        let uri = format!("amqp://slow:{password}@{}/%2f", broker.amqp());
        super::support::within("an answer", Connection::connect(&uri, ConnectionProperties::default()))
            .await
            .is_ok()
    };
    // Its password is kept with argon2id: the answer takes a while the first time, and the wrong ones every time.
    assert!(log_in("geheim").await && log_in("geheim").await);
    for _ in 0..10 {
        assert!(!log_in("wrong").await);
    }
    assert!(!log_in("geheim").await, "nobody looks at the password any more");
    assert_eq!(http::get(broker.http(), "/api/whoami", &header).status, 429);
    let attempts = super::get(&broker, "/api/auth/attempts/stoa@localhost");
    let amqp = attempts
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["protocol"] == "amqp091")
        .unwrap();
    assert_eq!(
        (&amqp["auth_attempts_succeeded"], &amqp["auth_attempts_failed"]),
        (&json!(2), &json!(11))
    );
}
