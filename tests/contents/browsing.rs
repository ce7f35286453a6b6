//! Looking at messages.

use serde_json::json;

use crate::support::lapin::*;
use crate::support::{Broker, eventually};
use crate::{ask, contents, each, encoded, ok};

#[tokio::test]
async fn messages_are_seen_as_they_are_and_stay_as_they_were() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let queue = durable_queue(&channel, "seen").await;
    let headers = table([("n", AMQPValue::LongInt(7)), ("kind", string("first"))]);
    let properties = BasicProperties::default()
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_content_type("text/plain".into());
    publish_with(&channel, "", &queue, "with properties", properties).await;
    publish(&channel, &queue, [0xff, 0xfe, 0x00]).await;
    publish(&channel, &queue, "x".repeat(10_000)).await;
    until_ready_here(&broker, &queue, 3).await;
    let held = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();

    let page = ok(&broker, "GET", &contents(&queue), "");
    assert_eq!(each(&page, "state"), ["unacked", "ready", "ready"]);
    assert_eq!(each(&page, "payload_encoding"), ["string", "base64", "string"]);
    assert_eq!(page.get("next"), None);
    let first = &page["messages"][0];
    assert_eq!(
        (&first["payload"], &first["routing_key"], &first["exchange"]),
        (&json!("with properties"), &json!(queue), &json!(""))
    );
    let expected = json!({"content_type": "text/plain", "delivery_mode": 2, "headers": {"n": 7, "kind": "first"}});
    assert_eq!(first["properties"], expected);
    let [second, third] = [&page["messages"][1], &page["messages"][2]];
    assert_eq!(
        (&second["payload"], &second["redelivered"], &second["due"]),
        (&json!("//4A"), &json!(false), &json!(null))
    );
    assert_eq!(
        (third["payload"].as_str().map(str::len), &third["payload_bytes"]),
        (Some(10_000), &json!(10_000))
    );

    let path = format!("{}?truncate=4&encoding=base64&state=ready", contents(&queue));
    let page = ok(&broker, "GET", &path, "");
    assert_eq!(each(&page, "payload"), ["//4A", "eHh4eA=="]);
    assert_eq!(page["messages"][1]["payload_bytes"], 10_000);
    let id = third["id"].as_str().unwrap();
    let one = ok(&broker, "GET", &format!("{}/{id}", contents(&queue)), "");
    assert_eq!(&one, third);
    for path in [
        format!("{}/999", contents(&queue)),
        format!("{}/first", contents(&queue)),
        contents("none-such"),
    ] {
        assert_eq!(ask(&broker, "GET", &path, "").0, 404, "{path}");
    }

    held.nack(BasicNackOptions {
        requeue: true,
        ..Default::default()
    })
    .await
    .unwrap();
    until_ready_here(&broker, &queue, 3).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        seen.push((delivery.data.len(), delivery.redelivered));
    }
    assert_eq!(
        seen,
        [(15, true), (3, false), (10_000, false)],
        "nothing has changed by being looked at"
    );
}

#[tokio::test]
async fn what_is_looked_for_is_found_page_by_page() {
    let Some(broker) = Broker::own_with(&["--set", "limits.contents_looked_max=20", "--set", "limits.contents_page_max=7"]) else {
        return;
    };
    let channel = channel(&broker).await;
    let queue = queue(&channel, "filtered").await;
    let topic = exchange(&channel, ExchangeKind::Topic).await;
    bind(&channel, &queue, &topic, "#").await;
    for n in 0..60 {
        let headers = table([("odd", AMQPValue::Boolean(n % 2 == 1)), ("tens", AMQPValue::LongLongInt(n / 10))]);
        let key = if n % 3 == 0 { "third" } else { "other" };
        publish_with(
            &channel,
            &topic,
            key,
            n.to_string(),
            BasicProperties::default().with_headers(headers),
        )
        .await;
    }
    until_ready_here(&broker, &queue, 60).await;
    let through = |query: &str| {
        let (mut seen, mut from, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = ok(&broker, "GET", &format!("{}?count=100&{query}{from}", contents(&queue)), "");
            assert!(page["messages"].as_array().unwrap().len() <= 7);
            seen.extend(each(&page, "payload").into_iter().map(|text| text.parse::<u32>().unwrap()));
            pages += 1;
            match page.get("next") {
                Some(next) => from = format!("&from={}", next.as_str().unwrap()),
                None => return (seen, pages),
            }
        }
    };
    let all = |wanted: &dyn Fn(u32) -> bool| (0..60).filter(|&n| wanted(n)).collect::<Vec<u32>>();
    assert_eq!(through("").0, all(&|_| true));
    let filter = |filter: serde_json::Value| format!("filter={}", encoded(&filter));
    assert_eq!(through(&filter(json!({"routing_key": "third"}))).0, all(&|n| n % 3 == 0));
    assert_eq!(
        through(&filter(json!({"exchange": topic, "headers": {"odd": true, "tens": 4}}))).0,
        all(&|n| n % 2 == 1 && n / 10 == 4)
    );
    let (none, pages) = through(&filter(json!({"headers": {"odd": "true"}})));
    assert!(
        none.is_empty() && pages >= 3,
        "a request looks at a bounded number of messages: {pages}"
    );
    for wrong in [
        "from=x",
        "count=-1",
        "state=lost",
        "filter=1",
        "filter=%7B%22key%22:1%7D",
        "encoding=utf7",
    ] {
        let (status, body) = ask(&broker, "GET", &format!("{}?{wrong}", contents(&queue)), "");
        assert_eq!((status, &body["error"]), (400, &json!("bad_request")), "{wrong}: {body}");
    }
}

#[tokio::test]
async fn a_backlog_on_disk_is_looked_through_where_it_is() {
    let Some(broker) = Broker::own_with(&["--set", "limits.memory_bytes_max=4MiB"]) else {
        return;
    };
    let channel = channel(&broker).await;
    let queue = durable_queue(&channel, "backlog").await;
    let body = "m".repeat(1000);
    for _ in 0..10_000 {
        publish_with(&channel, "", &queue, &body, BasicProperties::default().with_delivery_mode(2)).await;
    }
    until_ready_here(&broker, &queue, 10_000).await;
    let resident = || {
        ok(&broker, "GET", "/api/overview", "")["store"]["message_bytes_ram"]
            .as_u64()
            .unwrap()
    };
    eventually("most of it on disk", async || (resident() < 6 << 20).then_some(())).await;
    let (mut seen, mut from) = (0, String::new());
    loop {
        let page = ok(&broker, "GET", &format!("{}?count=1000&truncate=0{from}", contents(&queue)), "");
        for id in each(&page, "id") {
            assert_eq!(id, seen.to_string());
            seen += 1;
        }
        let Some(next) = page.get("next") else { break };
        from = format!("&from={}", next.as_str().unwrap());
        assert!(resident() < 6 << 20, "nothing comes into memory for it");
    }
    assert_eq!(seen, 10_000);
}

/// Waits until the queue's own page says so.
async fn until_ready_here(broker: &Broker, queue: &str, messages: u64) {
    let path = format!("/api/queues/%2F/{queue}");
    let ready = async || (ok(broker, "GET", &path, "")["messages_ready"] == messages).then_some(());
    eventually("the messages in their queue", ready).await;
}
