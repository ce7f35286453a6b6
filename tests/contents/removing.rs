//! Removing messages.

use serde_json::json;

use crate::support::Broker;
use crate::support::lapin::*;
use crate::{ask, contents, each, encoded, ok};

async fn filled(channel: &Channel, count: usize) -> String {
    let queue = durable_queue(channel, "filled").await;
    for n in 0..count {
        let headers = table([("n", AMQPValue::LongInt(n as i32))]);
        let properties = BasicProperties::default().with_headers(headers).with_delivery_mode(2);
        publish_with(channel, "", &queue, n.to_string(), properties).await;
    }
    sync(channel).await;
    queue
}

#[tokio::test]
async fn one_message_is_removed_for_good_unless_it_is_held() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let queue = filled(&channel, 4).await;
    let held = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    let path = |id: u32| format!("{}/{id}", contents(&queue));

    assert_eq!(ask(&broker, "DELETE", &path(2), "").0, 204);
    assert_eq!(ask(&broker, "DELETE", &path(2), "").0, 404);
    let (status, refused) = ask(&broker, "DELETE", &path(0), "");
    assert_eq!((status, &refused["reason"]), (409, &json!("message 0 is unacked")));
    let holder = &refused["holder"];
    assert_eq!(
        (&holder["user"], &holder["channel"], &holder["delivery_tag"]),
        (&json!("guest"), &json!(1), &json!(1))
    );
    assert!(holder["peer_address"].as_str().unwrap().starts_with("127.0.0.1:"), "{holder}");

    drop(held);
    broker.restart();
    let channel = crate::support::lapin::channel(&broker).await;
    assert_eq!(drain(&channel, &queue).await, ["0", "1", "3"]);
}

#[tokio::test]
async fn a_filter_says_which_are_removed_and_nothing_says_all() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let queue = filled(&channel, 10).await;
    let filter = encoded(&json!({"headers": {"n": 3}}));
    assert_eq!(
        ok(&broker, "DELETE", &format!("{}?filter={filter}", contents(&queue)), ""),
        json!({"removed": 1})
    );
    let two = ok(&broker, "DELETE", &format!("{}?filter=%7B%7D&count=2&from=5", contents(&queue)), "");
    assert_eq!((&two["removed"], &two["next"]), (&json!(2), &json!("7")));
    assert_eq!(ask(&broker, "DELETE", &format!("{}?count=2", contents(&queue)), "").0, 400);
    let left = ok(&broker, "GET", &contents(&queue), "");
    assert_eq!(each(&left, "payload"), ["0", "1", "2", "4", "7", "8", "9"]);
    assert_eq!(ask(&broker, "DELETE", &contents(&queue), "").0, 204, "a purge, as in RabbitMQ");
    assert!(drain(&channel, &queue).await.is_empty());
}
