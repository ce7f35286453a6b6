//! Queues that keep the last value of each key, and queues that take no key twice.

use super::*;
use crate::support::{Broker, http};

#[tokio::test]
async fn the_last_value_of_each_key_is_there_after_a_crash() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, [("x-last-value-key", string("symbol"))]).await;
    for round in 0..20 {
        for symbol in ["A", "B", "C"] {
            let body = format!("{symbol}{round}");
            assert!(publish_headed(&channel, &queue, &body, "symbol", string(symbol)).await);
        }
    }
    assert_eq!(counts(&connection, &queue).await, Some((3, 0)));
    broker.kill();
    broker.restart();
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    assert!(publish_headed(&channel, &queue, "B again", "symbol", string("B")).await);
    assert!(publish_headed(&channel, &queue, "plain", "other", string("B")).await);
    assert_eq!(drain(&channel, &queue).await, ["A19", "C19", "B again", "plain"]);
}

#[tokio::test]
async fn what_a_consumer_holds_does_not_come_back_once_it_was_replaced() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, [("x-last-value-key", string("k"))]).await;
    assert!(publish_headed(&channel, &queue, "old", "k", AMQPValue::LongInt(7)).await);
    let held = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    // The number is the key, whatever its width.
    assert!(publish_headed(&channel, &queue, "new", "k", AMQPValue::ShortShortInt(7)).await);
    held.nack(REQUEUE).await.unwrap();
    sync(&channel).await;
    assert_eq!(drain(&channel, &queue).await, ["new"]);
}

#[tokio::test]
async fn duplicates_are_confirmed_and_dropped_until_their_key_is_free() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let plugin = [("x-message-deduplication", AMQPValue::Boolean(true))];
    let named = [plugin[0].clone(), ("x-deduplication-header", string("id"))];
    for (arguments, header) in [(&plugin[..], "x-deduplication-header"), (&named[..], "id")] {
        let queue = queue_with(&channel, arguments.iter().cloned()).await;
        for body in ["one", "again"] {
            assert!(publish_headed(&channel, &queue, body, header, string("1")).await);
        }
        assert!(publish_headed(&channel, &queue, "number", header, AMQPValue::LongInt(1)).await);
        let held = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
        assert!(publish_headed(&channel, &queue, "while it is held", header, string("1")).await);
        assert_eq!(counts(&connection, &queue).await, Some((1, 0)));
        held.ack(ACK).await.unwrap();
        sync(&channel).await;
        assert!(publish_headed(&channel, &queue, "anew", header, string("1")).await);
        assert_eq!(drain(&channel, &queue).await, ["number", "anew"]);
    }
}

#[tokio::test]
async fn one_key_too_many_is_refused() {
    let Some(broker) = Broker::own_with(&["--set", "limits.queue_keys_max=2"]) else {
        return;
    };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, [("x-last-value-key", string("k"))]).await;
    let mut confirmed = Vec::new();
    for key in ["a", "b", "c", "a"] {
        confirmed.push(publish_headed(&channel, &queue, key, "k", string(key)).await);
    }
    assert_eq!(confirmed, [true, true, false, true]);
    assert_eq!(drain(&channel, &queue).await, ["b", "a"]);
}

#[tokio::test]
async fn a_policy_makes_a_queue_keep_last_values() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, []).await;
    assert!(publish_headed(&channel, &queue, "before", "k", string("a")).await);
    let body = r#"{"pattern": ".*", "definition": {"last-value-key": "k"}}"#;
    let response = http::send(broker.http(), "PUT", "/api/policies/%2F/last", http::GUEST, body);
    assert_eq!(response.status, 201, "{}", response.body);
    for body in ["1", "2"] {
        assert!(publish_headed(&channel, &queue, body, "k", string("a")).await);
    }
    assert_eq!(drain(&channel, &queue).await, ["2"]);
}
