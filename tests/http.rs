//! The HTTP surface: overview, queues, the page; and who may see them.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::http::{GUEST, get, json};
use support::lapin::*;
use support::{Broker, eventually};

#[tokio::test]
async fn queues_are_listed_with_their_counts() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = durable_queue(&channel, "listed").await;
    for _ in 0..5 {
        publish(&channel, &queue, "m").await;
    }
    let _held = support::lapin::get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    let counted = async || {
        let queues = json(broker.http(), "/api/queues");
        let listed = queues
            .as_array()
            .unwrap()
            .iter()
            .find(|listed| listed["name"] == queue.as_str())
            .cloned()?;
        (listed["messages_ready"] == 4 && listed["messages_unacknowledged"] == 1).then_some(listed)
    };
    let listed = eventually("the queue with its counts", counted).await;
    for (field, expected) in [
        ("vhost", Value::from("/")),
        ("durable", true.into()),
        ("auto_delete", false.into()),
        ("exclusive", false.into()),
        ("messages", 5.into()),
        ("consumers", 0.into()),
    ] {
        assert_eq!(listed[field], expected, "{field} in {listed}");
    }
    let overview = json(broker.http(), "/api/overview");
    assert_eq!(overview["object_totals"]["queues"], 1, "{overview}");
    assert_eq!(overview["object_totals"]["exchanges"], 7, "the default one counts: {overview}");
    assert_eq!(overview["object_totals"]["connections"], 1, "{overview}");
    assert_eq!(overview["queue_totals"]["messages"], 5, "{overview}");
}

#[test]
fn only_users_with_their_password_see_it() {
    let Some(broker) = Broker::own() else { return };
    let wrong = "Authorization: Basic Z3Vlc3Q6d3Jvbmc=\r\n";
    for headers in ["", wrong, "Authorization: Basic !!!\r\n", "Authorization: Bearer guest\r\n"] {
        for path in ["/api/overview", "/api/queues"] {
            let response = get(broker.http(), path, headers);
            assert_eq!(response.status, 401, "{path} with {headers:?}");
            assert!(response.head.contains("www-authenticate: basic"), "{}", response.head);
        }
    }
    assert_eq!(get(broker.http(), "/api/no-such-thing", GUEST).status, 404);
}

#[test]
fn the_dashboard_is_there_with_what_it_loads() {
    let Some(broker) = Broker::own() else { return };
    let page = get(broker.http(), "/", "");
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    assert!(page.head.contains("script-src 'self'"), "{}", page.head);
    for (path, kind) in [
        ("/js/main.js", "text/javascript"),
        ("/js/pages/queue.js", "text/javascript"),
        ("/css/base.css", "text/css"),
        ("/vendor/uplot/uPlot.iife.min.js", "text/javascript"),
    ] {
        let file = get(broker.http(), path, "");
        assert_eq!(file.status, 200, "{path}");
        assert!(file.head.contains(&format!("content-type: {kind}")), "{path}: {}", file.head);
        let tag = file.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let again = get(broker.http(), path, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!(again.status, 304, "{path} again");
    }
    assert_eq!(get(broker.http(), "/js/../Cargo.toml", "").status, 404);
}

#[test]
fn what_needs_attention_is_told_in_few_words() {
    let Some(broker) = Broker::own() else { return };
    let now = json(broker.http(), "/api/attention");
    assert_eq!(now["store_failed"], false, "{now}");
    assert_eq!(now["blocked_connections"], 0, "{now}");
    for kind in ["alarms", "growing", "unconsumed", "largest"] {
        assert_eq!(now[kind], serde_json::json!([]), "{kind} in {now}");
    }
    assert_eq!(get(broker.http(), "/api/attention", "").status, 401);
}
