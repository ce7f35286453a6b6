//! How long messages wait and are held.

use crate::ok;
use crate::support::lapin::*;
use crate::support::{Broker, eventually};

#[tokio::test]
async fn a_queue_shows_how_long_its_messages_wait_and_are_held() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let queue = queue(&channel, "observed").await;
    let path = format!("/api/queues/%2F/{queue}");
    for n in 1..=3 {
        publish(&channel, &queue, "m").await;
        let message = eventually("the message", async || get(&channel, &queue, BasicGetOptions::default()).await).await;
        message.ack(BasicAckOptions::default()).await.unwrap();
        sync(&channel).await;
        let latency = &ok(&broker, "GET", &path, "")["latency"];
        for times in [&latency["queue"], &latency["ack"]] {
            assert_eq!(times["count"], n, "{latency}");
            let [p50, p99, max] = ["p50", "p99", "max"].map(|name| times[name].as_u64().unwrap());
            assert!(p50 <= p99 && p99 <= max && max < 30_000, "{latency}");
        }
    }
    publish_with(&channel, "", &queue, "late", BasicProperties::default().with_expiration("1".into())).await;
    eventually("the end of its time", async || {
        (ok(&broker, "GET", &path, "")["latency"]["expired"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_is_observed_if_that_is_not_wanted() {
    let Some(broker) = Broker::own_with(&["--set", "statistics=false"]) else {
        return;
    };
    let channel = channel(&broker).await;
    let queue = queue(&channel, "observed").await;
    publish(&channel, &queue, "m").await;
    eventually("the message", async || take(&channel, &queue).await).await;
    let latency = &ok(&broker, "GET", &format!("/api/queues/%2F/{queue}"), "")["latency"];
    assert_eq!(latency["queue"]["count"], 0);
}
