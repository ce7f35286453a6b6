//! What `GET /api/attention` finds: dead letters that come in, the message that is held the longest, and consumers that do not keep up.

use serde_json::Value;

use super::get;
use super::support::lapin::*;
use super::support::{Broker, eventually};

async fn until(broker: &Broker, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        let now = get(broker, "/api/attention");
        is_so(&now).then_some(now)
    })
    .await
}

#[tokio::test]
async fn what_needs_somebody_is_named_with_who_has_to_do_with_it() {
    let Some(broker) = Broker::own_with(&["--set", "management.sample_interval=100ms"]) else {
        return;
    };
    let channel = channel(&broker).await;
    declare(&channel, "slow", QueueDeclareOptions::default()).await;
    let dying = table([
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("slow")),
    ]);
    channel
        .queue_declare("dying".into(), QueueDeclareOptions::default(), dying)
        .await
        .unwrap();
    let nothing = get(&broker, "/api/attention");
    assert_eq!(
        (&nothing["longest_held"], &nothing["dead_letters"]),
        (&Value::Null, &Value::Array(Vec::new()))
    );

    prefetch(&channel, 1).await;
    let mut consumer = consume(&channel, "slow", BasicConsumeOptions::default()).await;
    for n in 0..200 {
        publish(&channel, "slow", format!("{n}")).await;
    }
    let held = next(&mut consumer).await;
    let now = until(&broker, "a slow consumer", |now| now["slow_consumers"][0]["queue"] == "slow").await;
    let slow = &now["slow_consumers"][0];
    assert_eq!(
        (&slow["channel"], &slow["unacknowledged"], &slow["prefetch_count"]),
        (&1.into(), &1.into(), &1.into())
    );
    let longest = &now["longest_held"];
    assert_eq!(
        (&longest["queue"], &longest["channel"], &longest["user"]),
        (&"slow".into(), &1.into(), &"guest".into())
    );
    assert_eq!(longest["consumer_tag"], slow["consumer_tag"]);
    assert_eq!(longest["connection"], get(&broker, "/api/connections")[0]["name"]);
    held.ack(ACK).await.unwrap();

    for _ in 0..3 {
        publish(&channel, "dying", "m").await;
        let message = eventually("the message", async || get_one(&channel).await).await;
        message.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    }
    let now = until(&broker, "dead letters", |now| now["dead_letters"][0]["name"] == "dying").await;
    let dead = &now["dead_letters"][0];
    assert!(
        dead["rate"].as_f64().unwrap() > 0.0 && dead["dead"].as_u64().unwrap() <= 3,
        "{dead}"
    );
}

async fn get_one(channel: &Channel) -> Option<Delivery> {
    get_message(channel, "dying").await
}

async fn get_message(channel: &Channel, queue: &str) -> Option<Delivery> {
    super::support::lapin::get(channel, queue, BasicGetOptions::default()).await
}
