//! The numbers: they count what clients did, go on when queues and connections are gone, and are shown to whom they may be.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::support::broker::Process;
use super::support::lapin::*;
use super::support::{Broker, eventually, http};
use super::{scrape, sum};

const QUEUE_TYPE: &str = "queue_type=\"rabbit_classic_queue\"";

async fn until(broker: &Broker, name: &str, wanted: f64) {
    eventually(&format!("{name} {wanted}"), async || {
        (sum(&scrape(broker.http(), "/metrics"), name, &[]) >= wanted).then_some(())
    })
    .await;
}

/// The same by exchange, queue and channel, and of one virtual host.
fn counted_apart(broker: &Broker, exchange: &str, queue: &str) {
    let each = scrape(broker.http(), "/metrics/per-object");
    let exchange_label = format!("exchange=\"{exchange}\"");
    let queue_label = format!("queue=\"{}\"", queue);
    for (name, labels, expected) in [
        (
            "rabbitmq_exchange_messages_published_total",
            &["vhost=\"/\"", &*exchange_label][..],
            3.0,
        ),
        ("rabbitmq_queue_messages_published_total", &[&*queue_label], 4.0),
        ("rabbitmq_queue_consumers", &[&*queue_label], 1.0),
        ("rabbitmq_channel_messages_published_total", &["(1)\""], 4.0),
        ("rabbitmq_channel_messages_published_total", &["(2)\""], 1.0),
        ("rabbitmq_channel_messages_confirmed_total", &["(2)\""], 1.0),
        ("rabbitmq_channel_messages_unroutable_dropped_total", &["(1)\""], 1.0),
        ("rabbitmq_channel_get_total", &["(1)\""], 1.0),
        ("rabbitmq_channel_get_ack_total", &["(1)\""], 1.0),
        ("rabbitmq_channel_messages_acked_total", &["(1)\""], 1.0),
    ] {
        assert_eq!(sum(&each, name, labels), expected, "{name} {labels:?}");
    }
    let detailed = scrape(
        broker.http(),
        "/metrics/detailed?family=queue_coarse_metrics&vhost=%2F&family=vhost_status",
    );
    assert!(sum(&detailed, "rabbitmq_detailed_queue_messages_ready", &["vhost=\"/\""]) >= 1.0);
    assert_eq!(sum(&detailed, "rabbitmq_cluster_vhost_status", &[]), 1.0);
    assert!(!detailed.contains("rabbitmq_detailed_queue_consumers"), "that was not asked for");
    let elsewhere = scrape(broker.http(), "/metrics/detailed?family=queue_coarse_metrics&vhost=other");
    assert!(!elsewhere.contains("queue=\"") && elsewhere.contains("rabbitmq_identity_info"));
}

#[tokio::test]
async fn messages_are_counted_and_stay_counted() {
    let Some(broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let (confirming, exchange) = (channel_on(&connection).await, exchange(&channel, ExchangeKind::Fanout).await);
    confirming.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let queues = [queue(&channel, "a").await, queue(&channel, "b").await];
    for queue in &queues {
        bind(&channel, queue, &exchange, "").await;
    }
    for body in [vec![0; 10], vec![0; 10], vec![0; 5000]] {
        publish_to(&channel, &exchange, "", body).await;
    }
    publish_to(&channel, "", "nowhere", "lost").await;
    let published = confirming.basic_publish(
        "".into(),
        queues[0].as_str().into(),
        BasicPublishOptions::default(),
        b"c",
        BasicProperties::default(),
    );
    published.await.unwrap().await.unwrap();
    sync(&channel).await;
    until(&broker, "rabbitmq_global_messages_received_total", 5.0).await;
    let message = get(&channel, &queues[0], BasicGetOptions::default()).await.unwrap();
    message.ack(BasicAckOptions::default()).await.unwrap();
    take(&channel, &queues[1]).await.unwrap();
    let mut consumer = consume(&channel, &queues[0], BasicConsumeOptions::default()).await;
    let held = next(&mut consumer).await;
    until(&broker, "rabbitmq_global_messages_acknowledged_total", 1.0).await;

    let text = scrape(broker.http(), "/metrics");
    for (name, labels, expected) in [
        ("rabbitmq_global_messages_received_total", &[][..], 5.0),
        ("rabbitmq_global_messages_received_confirm_total", &[], 1.0),
        ("rabbitmq_global_messages_confirmed_total", &[], 1.0),
        ("rabbitmq_global_messages_routed_total", &[], 4.0),
        ("rabbitmq_global_messages_unroutable_dropped_total", &[], 1.0),
        ("rabbitmq_global_messages_unroutable_returned_total", &[], 0.0),
        ("rabbitmq_global_messages_delivered_get_manual_ack_total", &[QUEUE_TYPE], 1.0),
        ("rabbitmq_global_messages_delivered_get_auto_ack_total", &[QUEUE_TYPE], 1.0),
        ("rabbitmq_global_publishers", &["protocol=\"amqp091\""], 2.0),
        ("rabbitmq_global_consumers", &[], 1.0),
        ("rabbitmq_message_size_bytes_bucket", &["le=\"100.0\""], 4.0),
        ("rabbitmq_message_size_bytes_bucket", &["le=\"1000.0\""], 4.0),
        ("rabbitmq_message_size_bytes_bucket", &["le=\"10000.0\""], 5.0),
        ("rabbitmq_message_size_bytes_sum", &[], 10.0 + 10.0 + 5000.0 + 4.0 + 1.0),
        ("rabbitmq_queue_messages_published_total", &[], 7.0),
        ("rabbitmq_queues", &[], 2.0),
        ("rabbitmq_connections", &[], 1.0),
        ("rabbitmq_channels", &[], 2.0),
        ("stoa_store_failed", &[], 0.0),
    ] {
        assert_eq!(sum(&text, name, labels), expected, "{name} {labels:?}");
    }
    assert!(sum(&text, "stoa_message_wait_seconds_count", &[]) >= 2.0);
    assert!(
        sum(&text, "stoa_commit_duration_seconds_count", &[]) >= 1.0,
        "declarations are committed"
    );

    counted_apart(&broker, &exchange, &queues[0]);

    held.nack(REQUEUE).await.unwrap();
    for queue in &queues {
        channel
            .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }
    connection.close(200, "OK".into()).await.unwrap();
    eventually("the end of the connection", async || {
        (sum(&scrape(broker.http(), "/metrics"), "rabbitmq_connections", &[]) == 0.0).then_some(())
    })
    .await;
    let after = scrape(broker.http(), "/metrics");
    for name in [
        "rabbitmq_global_messages_received_total",
        "rabbitmq_global_messages_acknowledged_total",
        "rabbitmq_global_messages_delivered_total",
        "rabbitmq_queue_messages_published_total",
        "rabbitmq_connection_incoming_bytes_total",
        "rabbitmq_connection_outgoing_bytes_total",
        "stoa_message_wait_seconds_count",
    ] {
        assert!(sum(&after, name, &[]) >= sum(&text, name, &[]), "{name} has gone back");
    }
}

#[tokio::test]
async fn dead_letters_are_counted_by_why() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let options = QueueDeclareOptions::default();
    let arguments = table([
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("dead")),
        ("x-max-length", AMQPValue::LongInt(1)),
    ]);
    channel.queue_declare("q".into(), options, arguments).await.unwrap();
    declare(&channel, "dead", QueueDeclareOptions::default()).await;
    for _ in 0..3 {
        publish(&channel, "q", "m").await;
    }
    until(&broker, "rabbitmq_global_messages_dead_lettered_maxlen_total", 2.0).await;
    get(&channel, "q", BasicGetOptions::default())
        .await
        .unwrap()
        .reject(BasicRejectOptions { requeue: false })
        .await
        .unwrap();
    until(&broker, "rabbitmq_global_messages_dead_lettered_rejected_total", 1.0).await;
    publish_with(&channel, "", "q", "m", BasicProperties::default().with_expiration("1".into())).await;
    until(&broker, "rabbitmq_global_messages_dead_lettered_expired_total", 1.0).await;
    let text = scrape(broker.http(), "/metrics");
    let once = "dead_letter_strategy=\"at_most_once\"";
    assert_eq!(sum(&text, "rabbitmq_global_messages_dead_lettered_maxlen_total", &[once]), 2.0);
}

#[test]
fn only_what_names_nothing_is_for_everybody() {
    let Some(broker) = Broker::own() else { return };
    let status = |path: &str, who: &str| http::get(broker.http(), path, who).status;
    assert_eq!(status("/metrics", ""), 200);
    for path in [
        "/metrics/per-object",
        "/metrics/detailed?family=queue_coarse_metrics",
        "/metrics/memory-breakdown",
    ] {
        assert_eq!((status(path, ""), status(path, http::GUEST)), (401, 200), "{path}");
    }
    assert_eq!(status("/metrics", "Accept: application/json\r\n"), 406);
}

#[test]
fn a_listener_of_its_own_asks_nobody_who_they_are() {
    if Broker::is_external() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut process = Process::serve(data.path(), &["--prometheus", "127.0.0.1:0"]);
    let ready = process.ready();
    let at = ready
        .split_once("Metrics: http://")
        .unwrap()
        .1
        .split_once('/')
        .unwrap()
        .0
        .parse()
        .unwrap();
    for path in [
        "/metrics",
        "/metrics/",
        "/metrics/per-object",
        "/metrics/detailed?family=queue_metrics",
        "/metrics/memory-breakdown",
    ] {
        assert_eq!(http::get(at, path, "").status, 200, "{path}");
    }
    for path in ["/", "/api/overview", "/metrics/nope"] {
        assert_eq!(http::get(at, path, http::GUEST).status, 404, "{path}");
    }
}

#[test]
fn answers_are_compressed_for_who_wants_that() {
    let Some(broker) = Broker::own() else { return };
    let response = http::get(broker.http(), "/metrics", "Accept-Encoding: gzip\r\n");
    assert!(response.head.contains("content-encoding: gzip"), "{}", response.head);
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(&response.octets).unwrap();
    let output = gzip.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(sum(&String::from_utf8_lossy(&output.stdout), "rabbitmq_queues", &[]), 0.0);
}

#[test]
fn routes_are_in_the_document_of_the_api() {
    let Some(broker) = Broker::own() else { return };
    let document: Value = http::json(broker.http(), "/api/openapi.json");
    assert!(document["paths"]["/metrics"]["get"].is_object());
}
