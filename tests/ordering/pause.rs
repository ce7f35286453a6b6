//! Queues that are paused and resumed over HTTP, as with LavinMQ.

use super::*;
use crate::support::{Broker, http};

fn set(broker: &Broker, queue: &str, verb: &str) -> u16 {
    let path = format!("/api/queues/%2F/{queue}/{verb}");
    http::send(broker.http(), "PUT", &path, http::GUEST, "").status
}

fn state(broker: &Broker, queue: &str) -> String {
    let view = http::json(broker.http(), &format!("/api/queues/%2F/{queue}"));
    view["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_paused_queue_gives_nothing_and_takes_everything_also_after_a_restart() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, []).await;
    assert_eq!(state(&broker, &queue), "running");
    assert_eq!(set(&broker, &queue, "pause"), 204);
    assert_eq!(set(&broker, &queue, "pause"), 204, "it may be said twice");
    assert!(publish_headed(&channel, &queue, "waits", "h", string("v")).await);
    assert!(take(&channel, &queue).await.is_none());
    broker.kill();
    broker.restart();
    assert_eq!(state(&broker, &queue), "paused");
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let mut consumer = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    assert!(take(&channel, &queue).await.is_none());
    assert_eq!(counts(&connection, &queue).await, Some((1, 1)), "nothing went to the consumer");
    assert_eq!(set(&broker, &queue, "resume"), 204);
    assert_eq!(text(&next(&mut consumer).await), "waits");
    assert_eq!(state(&broker, &queue), "running");
}

#[test]
fn what_is_not_there_is_not_paused() {
    let Some(broker) = Broker::own() else { return };
    assert_eq!([set(&broker, "none", "pause"), set(&broker, "none", "resume")], [404, 404]);
    let path = "/api/queues/%2F/none/pause";
    assert_eq!(http::send(broker.http(), "PUT", path, "", "").status, 401);
}
