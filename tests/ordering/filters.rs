//! Consumers that get only what their filter lets through.

use super::*;
use crate::support::Broker;

async fn consume_filtered(channel: &Channel, queue: &str, filter: AMQPValue) -> lapin::Result<Consumer> {
    let options = BasicConsumeOptions::default();
    let consumed = channel.basic_consume(queue.into(), "".into(), options, table([("x-filter", filter)]));
    within("basic.consume-ok", consumed).await
}

fn headed(name: &'static str, value: AMQPValue) -> AMQPValue {
    AMQPValue::FieldTable(table([(name, value)]))
}

async fn coloured(channel: &Channel, queue: &str, messages: &[(&str, &'static str)]) {
    for (body, colour) in messages {
        assert!(publish_headed(channel, queue, body, "colour", string(colour)).await);
    }
}

#[tokio::test]
async fn consumers_get_what_matches_and_the_rest_stays() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, [("x-queue-type", string("quorum"))]).await;
    coloured(&channel, &queue, &[("1", "red"), ("2", "blue"), ("3", "green"), ("4", "red")]).await;
    let mut red = consume_filtered(&channel, &queue, headed("colour", string("red"))).await.unwrap();
    assert_eq!(bodies(&mut red, 2).await, ["1", "4"]);
    let json = string(r#"{"colour": {"in": ["blue", "black"]}}"#);
    let mut blue = consume_filtered(&channel, &queue, json).await.unwrap();
    assert_eq!(bodies(&mut blue, 1).await, ["2"]);
    coloured(&channel, &queue, &[("5", "green"), ("6", "black"), ("7", "red")]).await;
    assert_eq!(bodies(&mut blue, 1).await, ["6"]);
    assert_eq!(bodies(&mut red, 1).await, ["7"]);
    assert_eq!(
        counts(&connection, &queue).await,
        Some((2, 2)),
        "3 and 5 wait for somebody who wants them"
    );
    let got = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    assert_eq!((&got.data[..], got.redelivered), (&b"3"[..], false));
    let mut all = consume(&channel, &queue, BasicConsumeOptions::default()).await;
    assert_eq!(bodies(&mut all, 1).await, ["5"]);
}

#[tokio::test]
async fn what_a_lost_consumer_held_goes_to_another_whose_filter_matches() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, []).await;
    let lost = connect(&broker).await;
    let lost_channel = channel_on(&lost).await;
    let mut held = consume_filtered(&lost_channel, &queue, headed("colour", string("red")))
        .await
        .unwrap();
    let mut others = consume_filtered(&channel, &queue, headed("colour", string("blue"))).await.unwrap();
    coloured(&channel, &queue, &[("1", "red"), ("2", "blue"), ("3", "red")]).await;
    assert_eq!(bodies(&mut held, 2).await, ["1", "3"]);
    assert_eq!(bodies(&mut others, 1).await, ["2"]);
    let mut next_red = consume_filtered(&channel, &queue, headed("colour", string("red"))).await.unwrap();
    lost.close(200, "OK".into()).await.unwrap();
    for body in ["1", "3"] {
        let delivery = next(&mut next_red).await;
        assert_eq!((text(&delivery), delivery.redelivered), (body.into(), true));
    }
}

#[tokio::test]
async fn filters_survive_what_happens_to_a_backlog() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let queue = queue_with(&channel, []).await;
    for n in 0..500 {
        let colour = if n % 100 == 99 { "red" } else { "blue" };
        coloured(&channel, &queue, &[(&n.to_string(), colour)]).await;
    }
    broker.kill();
    broker.restart();
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let mut red = consume_filtered(&channel, &queue, headed("colour", string("red"))).await.unwrap();
    assert_eq!(bodies(&mut red, 5).await, ["99", "199", "299", "399", "499"]);
    coloured(&channel, &queue, &[("500", "red")]).await;
    assert_eq!(bodies(&mut red, 1).await, ["500"]);
    assert_eq!(counts(&connection, &queue).await, Some((495, 1)));
}

#[tokio::test]
async fn a_malformed_filter_is_refused_and_so_is_one_beside_groups() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    type Refusal<'a> = (&'a [(&'static str, AMQPValue)], AMQPValue, &'a str);
    let refusals: [Refusal<'_>; 3] = [
        (
            &[],
            headed("n", headed("gt", AMQPValue::Void)),
            "malformed template, field n.gt: expected a number, text, bytes or a timestamp, came null",
        ),
        (
            &[],
            AMQPValue::Boolean(true),
            "expected a template: a table or an array, came a bool",
        ),
        (
            &[("x-group-by", string("colour"))],
            AMQPValue::FieldTable(FieldTable::default()),
            "the queue has groups ('x-group-by')",
        ),
    ];
    for (arguments, filter, text) in refusals {
        let channel = channel_on(&connection).await;
        let queue = queue_with(&channel, arguments.iter().cloned()).await;
        let error = consume_filtered(&channel, &queue, filter).await.unwrap_err().to_string();
        assert!(error.contains("PRECONDITION_FAILED") && error.contains(text), "{error}");
    }
}
