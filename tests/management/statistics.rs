//! `message_stats` of channels, exchanges, virtual hosts and the whole, their rates, and since when things rest.

use serde_json::Value;

use super::get;
use super::support::lapin::*;
use super::support::{Broker, eventually};

async fn until(broker: &Broker, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(path, async || {
        let now = get(broker, path);
        is_so(&now).then_some(now)
    })
    .await
}

#[tokio::test]
async fn everything_says_what_its_messages_did() {
    let Some(broker) = Broker::own_with(&["--set", "management.sample_interval=100ms"]) else {
        return;
    };
    let channel = channel(&broker).await;
    let exchange = exchange(&channel, ExchangeKind::Fanout).await;
    for queue in ["a", "b"] {
        declare(&channel, queue, QueueDeclareOptions::default()).await;
        bind(&channel, queue, &exchange, "").await;
    }
    for _ in 0..10 {
        publish_to(&channel, &exchange, "", "m").await;
    }
    publish(&channel, "nowhere", "m").await;
    sync(&channel).await;
    let path = format!("/api/exchanges/%2F/{exchange}");
    let through = until(&broker, &path, |now| now["message_stats"]["publish_in"] == 10).await;
    assert_eq!(through["message_stats"]["publish_out"], 20);
    take(&channel, "a").await.unwrap();

    let stats = &get(&broker, "/api/channels")[0]["message_stats"];
    for (name, count) in [
        ("publish", 11),
        ("drop_unroutable", 1),
        ("return_unroutable", 0),
        ("get_no_ack", 1),
        ("deliver_get", 1),
        ("ack", 0),
    ] {
        assert_eq!(stats[name], count, "{name} in {stats}");
        assert!(stats[format!("{name}_details")]["rate"].is_number());
    }
    let overview = get(&broker, "/api/overview");
    assert_eq!(overview["message_stats"]["publish"], 11, "however many queues they went to");
    let vhost = get(&broker, "/api/vhosts/%2F");
    assert_eq!((&vhost["message_stats"]["publish"], &vhost["messages"]), (&11.into(), &19.into()));
    assert!(vhost["recv_oct"].as_u64().unwrap() > 0, "{vhost}");
    assert_eq!(get(&broker, "/api/queues/%2F/a")["message_stats"]["publish"], 10);

    // Samples are taken of all of them.
    let ages = "msg_rates_age=60&msg_rates_incr=1&lengths_age=60&lengths_incr=1&data_rates_age=60&data_rates_incr=1&node_stats_age=60&node_stats_incr=1";
    for (path, field) in [
        (format!("{path}?{ages}"), "message_stats.publish_in_details"),
        (format!("/api/vhosts/%2F?{ages}"), "message_stats.publish_details"),
        (format!("/api/vhosts/%2F?{ages}"), "messages_details"),
        (format!("/api/vhosts/%2F?{ages}"), "recv_oct_details"),
        (format!("/api/overview?{ages}"), "message_stats.publish_details"),
        (format!("/api/overview?{ages}"), "queue_totals.messages_ready_details"),
        (format!("/api/nodes/stoa@localhost?{ages}"), "mem_used_details"),
        (format!("/api/queues/%2F/a?{ages}"), "messages_details"),
    ] {
        let details = |now: &Value| field.split('.').fold(now.clone(), |value, name| value[name].clone());
        until(&broker, &path, |now| {
            details(now)["samples"].as_array().is_some_and(|samples| !samples.is_empty())
        })
        .await;
    }

    let resting = until(&broker, "/api/queues/%2F/b", |now| now["idle_since"].is_string()).await;
    let since = resting["idle_since"].as_str().unwrap();
    assert!(since.len() == 29 && since.starts_with("20") && since.ends_with("+00:00"), "{since}");
    assert_eq!(resting["consumer_capacity"], 0.0, "there is no consumer");
    let _consumer = consume(
        &channel,
        "b",
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    until(&broker, "/api/queues/%2F/b", |now| {
        now["consumer_capacity"].as_f64().is_some_and(|capacity| capacity > 0.0)
    })
    .await;

    channel.queue_delete("a".into(), QueueDeleteOptions::default()).await.unwrap();
    let after = get(&broker, "/api/overview");
    assert_eq!(
        after["message_stats"]["get_no_ack"], 1,
        "what a queue did is counted when it is gone"
    );
}
