//! Who holds what.

use serde_json::json;

use crate::support::Broker;
use crate::support::lapin::*;
use crate::{ask, ok};

#[tokio::test]
async fn unacked_messages_are_listed_with_their_holders() {
    let Some(broker) = Broker::own() else { return };
    let (one, other) = (channel(&broker).await, channel(&broker).await);
    let queue = queue(&one, "held").await;
    for n in 0..5 {
        publish(&one, &queue, n.to_string()).await;
    }
    sync(&one).await;
    let by_get = get(&other, &queue, BasicGetOptions::default()).await.unwrap();
    prefetch(&one, 3).await;
    let mut consumer = consume(&one, &queue, BasicConsumeOptions::default()).await;
    for _ in 0..3 {
        next(&mut consumer).await;
    }
    let path = format!("/api/queues/%2F/{queue}/unacked");
    let all = ok(&broker, "GET", &path, "");
    let shown: Vec<_> = all["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|held| {
            (
                held["id"].as_str().unwrap(),
                held["delivery_tag"].as_u64().unwrap(),
                held["consumer_tag"].as_str(),
            )
        })
        .collect();
    let tag = Some(consumer.tag().as_str().to_owned());
    let mut expected = vec![
        ("0", 1, None),
        ("1", 1, tag.as_deref()),
        ("2", 2, tag.as_deref()),
        ("3", 3, tag.as_deref()),
    ];
    let mut sorted = shown.clone();
    sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(sorted, expected);
    for held in all["messages"].as_array().unwrap() {
        assert_eq!((&held["user"], &held["channel"]), (&json!("guest"), &json!(1)));
        assert!(
            held["age_ms"].as_u64().unwrap() < 60_000 && held["since"].as_u64().unwrap() > 1_600_000_000_000,
            "{held}"
        );
        let connection = held["connection"].as_str().unwrap().replace(' ', "%20").replace('>', "%3E");
        ok(&broker, "GET", &format!("/api/connections/{connection}"), "");
    }
    assert_eq!(all.get("next"), None);
    let (mut pages, mut from) = (Vec::new(), String::new());
    loop {
        let page = ok(&broker, "GET", &format!("{path}?count=1{from}"), "");
        pages.push(page["messages"][0]["id"].as_str().unwrap().to_owned());
        let Some(next) = page.get("next") else { break };
        from = format!("&from={}", next.as_str().unwrap());
    }
    assert_eq!(pages, shown.iter().map(|(id, ..)| (*id).to_owned()).collect::<Vec<_>>());
    assert_eq!(ask(&broker, "GET", &format!("{path}?from=7"), "").0, 400);

    by_get.ack(BasicAckOptions::default()).await.unwrap();
    sync(&other).await;
    one.close(200, "OK".into()).await.unwrap();
    assert_eq!(ok(&broker, "GET", &path, ""), json!({"messages": []}));
    assert_eq!(ask(&broker, "GET", "/api/queues/%2F/none-such/unacked", "").0, 404);
}
