//! What a delayed-message exchange holds back.

use serde_json::json;

use crate::support::lapin::*;
use crate::support::{Broker, unique};
use crate::{ask, each, ok};

#[tokio::test]
async fn pending_messages_are_listed_changed_and_removed() {
    let Some(mut broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let name = unique("delayed");
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let kind = ExchangeKind::Custom("x-delayed-message".into());
    let arguments = table([("x-delayed-type", string("fanout"))]);
    channel
        .exchange_declare(name.as_str().into(), kind, options, arguments)
        .await
        .unwrap();
    let queue = durable_queue(&channel, "to").await;
    bind(&channel, &queue, &name, "").await;
    for (n, delay) in [(0, 3_600_000), (1, 7_200_000), (2, 86_400_000)] {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_headers(table([("x-delay", AMQPValue::LongInt(delay))]));
        publish_with(&channel, &name, "key", n.to_string(), properties).await;
    }
    sync(&channel).await;
    let path = format!("/api/exchanges/%2F/{name}/delayed");
    let page = ok(&broker, "GET", &path, "");
    let id = |page: &serde_json::Value, payload: &str| {
        let messages = page["messages"].as_array().unwrap();
        let found = messages.iter().find(|message| message["payload"] == payload);
        found.map(|found| (found["id"].as_str().unwrap().to_owned(), found["due"].as_u64().unwrap()))
    };
    assert_eq!(each(&page, "state"), ["delayed"; 3]);
    let [zero, one, two] = ["0", "1", "2"].map(|payload| id(&page, payload).unwrap());
    assert!((zero.1 + 3_500_000..zero.1 + 3_700_000).contains(&one.1));

    assert_eq!(ask(&broker, "DELETE", &format!("{path}/{}", one.0), "").0, 204);
    assert_eq!(ask(&broker, "DELETE", &format!("{path}/{}", one.0), "").0, 404);
    let put = ok(&broker, "PUT", &format!("{path}/{}", two.0), r#"{"delay_ms": 7200000}"#);
    let page = ok(&broker, "GET", &path, "");
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
    let later = id(&page, "2").unwrap();
    assert_eq!(put["id"], later.0.as_str());
    assert!(later.1 < two.1);
    assert_eq!(ask(&broker, "PUT", &format!("{path}/{}", two.0), r#"{"delay_ms": 1}"#).0, 404);
    assert_eq!(ask(&broker, "PUT", &format!("{path}/{}", later.0), r#"{"delay": 1}"#).0, 400);

    broker.restart();
    let page = ok(&broker, "GET", &path, "");
    assert_eq!(id(&page, "1"), None);
    let (again, due) = id(&page, "2").unwrap();
    assert_eq!(due, later.1);
    let channel = crate::support::lapin::channel(&broker).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    ok(&broker, "PUT", &format!("{path}/{again}"), r#"{"delay_ms": 0}"#);
    assert_eq!(text(&next(&mut consumer).await), "2");
    for path in ["/api/exchanges/%2F/amq.direct/delayed", "/api/exchanges/%2F/none/delayed"] {
        assert_eq!(ask(&broker, "GET", path, "").0, 404);
    }
    // What was let go is there until its commit is durable.
    let left = json!([id(&page, "0").map(|(id, _)| ok_one(&page, &id)).unwrap()]);
    crate::support::eventually("the message that went to be gone", async || {
        (ok(&broker, "GET", &path, "")["messages"] == left).then_some(())
    })
    .await;
}

fn ok_one(page: &serde_json::Value, id: &str) -> serde_json::Value {
    let mut messages = page["messages"].as_array().unwrap().iter();
    messages.find(|message| message["id"] == id).unwrap().clone()
}
