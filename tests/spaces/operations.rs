//! Linda's operations and their kin.

use super::*;
use crate::support::Broker;

#[tokio::test]
async fn tuples_are_taken_by_template_whoever_comes_first() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    for tuple in [r#"["job",1]"#, r#"["job",2]"#, r#"["result",1]"#] {
        assert!(out(&channel, &space, tuple).await);
    }
    // in, with something there
    let mut taker = seek(&channel, &space, r#"["job",{"?":"int"}]"#, []).await.unwrap();
    let (first, second) = (next(&mut taker).await, next(&mut taker).await);
    assert_eq!((text(&first), text(&second)), (r#"["job",1]"#.into(), r#"["job",2]"#.into()));
    // in, blocked
    assert!(out(&channel, &space, r#"["job",3]"#).await);
    let third = next(&mut taker).await;
    third.ack(ACK).await.unwrap();
    // What is given back goes to whoever waits, at its old place.
    first.nack(REQUEUE).await.unwrap();
    let again = next(&mut taker).await;
    assert!(again.redelivered);
    again.ack(ACK).await.unwrap();
    second.ack(ACK).await.unwrap();
    sync(&channel).await;
    assert_eq!(read_all(&channel, &space, "").await, [r#"["result",1]"#]);
}

#[tokio::test]
async fn reading_leaves_tuples_and_may_go_on() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    for n in 0..5 {
        assert!(out(&channel, &space, &format!(r#"{{"n":{n}}}"#)).await);
    }
    assert_eq!(read_all(&channel, &space, r#"{"n":{"ge":3}}"#).await, [r#"{"n":3}"#, r#"{"n":4}"#]);
    // rd blocks until there is one, and ends then.
    let once = [("x-mode", string("read")), ("x-max", AMQPValue::LongInt(1))];
    let mut reader = seek(&channel, &space, r#"{"n":7}"#, once).await.unwrap();
    // rd-all, and then what comes, without a gap
    let tail = [("x-mode", string("read")), ("x-tail", AMQPValue::Boolean(true))];
    let mut follower = seek(&channel, &space, "", tail).await.unwrap();
    let before = bodies(&mut follower, 5).await;
    assert_eq!(before.first().map(String::as_str), Some(r#"{"n":0}"#));
    assert!(out(&channel, &space, r#"{"n":7}"#).await);
    assert_eq!(text(&next(&mut follower).await), r#"{"n":7}"#);
    let copy = next(&mut reader).await;
    ended(&mut reader).await;
    // Whatever is done with a copy, the tuple stays.
    copy.nack(BasicNackOptions::default()).await.unwrap();
    sync(&channel).await;
    assert_eq!(counts(&connection, &space).await, Some((6, 1)));
}

#[tokio::test]
async fn views_are_for_clients_that_only_get() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    for tuple in [r#"{"k":"a","n":1}"#, r#"{"k":"b","n":2}"#, r#"{"k":"a","n":3}"#] {
        assert!(out(&channel, &space, tuple).await);
    }
    let takes = view(&channel, &space, r#"{"k":"a"}"#, "take").await;
    let reads = view(&channel, &space, r#"{"k":"a"}"#, "read").await;
    let count = async |view: &str| {
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let declared = channel.queue_declare(view.into(), options, FieldTable::default());
        within("queue.declare-ok", declared).await.unwrap().message_count()
    };
    assert_eq!((count(&takes).await, count(&reads).await), (2, 2));
    for _ in 0..2 {
        let copy = get(&channel, &reads, BasicGetOptions::default()).await.unwrap();
        assert_eq!(text(&copy), r#"{"k":"a","n":1}"#);
        copy.ack(ACK).await.unwrap();
    }
    let held = get(&channel, &takes, BasicGetOptions::default()).await.unwrap();
    assert_eq!(text(&take(&channel, &takes).await.unwrap()), r#"{"k":"a","n":3}"#);
    assert!(take(&channel, &takes).await.is_none() && take(&channel, &reads).await.is_none());
    assert_eq!(count(&reads).await, 0);
    held.nack(REQUEUE).await.unwrap();
    sync(&channel).await;
    assert_eq!(count(&reads).await, 1);
    // A consumer of a view is one of its space.
    let mut consumer = seek(&channel, &takes, "", []).await.unwrap();
    next(&mut consumer).await.ack(ACK).await.unwrap();
    // Nothing is routed to a view.
    publish(&channel, &takes, "lost").await;
    sync(&channel).await;
    assert_eq!(counts(&connection, &space).await, Some((1, 1)));
}

#[tokio::test]
async fn who_waits_in_vain_is_told_so() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    let timeout = |ms| [("x-timeout", AMQPValue::LongInt(ms))];
    for ms in [0, 20] {
        let mut taker = seek(&channel, &space, r#"["a"]"#, timeout(ms)).await.unwrap();
        ended(&mut taker).await;
    }
    assert!(out(&channel, &space, r#"["a"]"#).await);
    let held = get(&channel, &space, BasicGetOptions::default()).await.unwrap();
    let patient = timeout(0).into_iter().chain([("x-wait-held", AMQPValue::Boolean(true))]);
    let mut taker = seek(&channel, &space, r#"["a"]"#, patient).await.unwrap();
    held.nack(REQUEUE).await.unwrap();
    next(&mut taker).await.ack(ACK).await.unwrap();
    ended(&mut taker).await;
}

#[tokio::test]
async fn takes_and_outs_of_a_transaction_are_one() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    assert!(out(&channel, &space, r#"{"account":"a","balance":10}"#).await);
    let properties = || {
        BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
    };
    for (commits, expected) in [(false, r#"{"account":"a","balance":10}"#), (true, r#"{"account":"a","balance":7}"#)] {
        let transaction = channel_on(&connection).await;
        within("tx.select-ok", transaction.tx_select()).await.unwrap();
        let taken = get(&transaction, &space, BasicGetOptions::default()).await.unwrap();
        // A take under a transaction hides the tuple from everybody else.
        assert!(read_all(&channel, &space, "").await.is_empty());
        taken.ack(ACK).await.unwrap();
        publish_with(&transaction, "", &space, r#"{"account":"a","balance":7}"#, properties()).await;
        if commits {
            within("tx.commit-ok", transaction.tx_commit()).await.unwrap();
        } else {
            within("tx.rollback-ok", transaction.tx_rollback()).await.unwrap();
        }
        // With its channel goes what was taken and not settled.
        transaction.close(200, "OK".into()).await.unwrap();
        assert_eq!(read_all(&channel, &space, "").await, [expected]);
    }
}

#[tokio::test]
async fn a_key_makes_tuples_replace_each_other_or_not() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = unique("space");
    let arguments = [("x-queue-type", string("space")), ("x-space-key", string("service"))];
    declare_as(&channel, &space, arguments).await.unwrap();
    let put = async |tuple: &str, condition: &str| {
        let headers = table([("x-if-none-match", string(condition))]);
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into())
            .with_headers(if condition.is_empty() { FieldTable::default() } else { headers });
        let published = channel.basic_publish(
            "".into(),
            space.as_str().into(),
            BasicPublishOptions::default(),
            tuple.as_bytes(),
            properties,
        );
        within("a confirm", published.await.unwrap()).await.map(|confirm| confirm.is_ack())
    };
    let (one, two) = (r#"{"service":"db","at":"one"}"#, r#"{"service":"db","at":"two"}"#);
    assert!(put(one, "*").await.unwrap(), "there was none");
    assert!(!put(two, "*").await.unwrap(), "put if absent");
    assert_eq!(read_all(&channel, &space, "").await, [one]);
    assert!(put(two, "").await.unwrap(), "replace");
    assert_eq!(read_all(&channel, &space, "").await, [two]);
    // One that somebody holds is there.
    let held = get(&channel, &space, BasicGetOptions::default()).await.unwrap();
    assert!(!put(one, "*").await.unwrap());
    held.ack(ACK).await.unwrap();
    assert!(put(one, "*").await.unwrap());
    assert_eq!(code(&put(one, "some").await.unwrap_err()), Some(406));
}

#[tokio::test]
async fn an_exchange_is_told_of_what_becomes_of_tuples() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let (space, told) = (unique("space"), queue(&channel, "told").await);
    bind(&channel, &told, "amq.topic", &format!("space.{space}.*")).await;
    let arguments = [("x-queue-type", string("space")), ("x-notify-exchange", string("amq.topic"))];
    declare_as(&channel, &space, arguments).await.unwrap();
    // It is told of its own notifications, too, and does not go on for ever.
    bind(&channel, &space, "amq.topic", &format!("space.{space}.take")).await;
    let mut events = consume(
        &channel,
        &told,
        BasicConsumeOptions {
            no_ack: true,
            ..Default::default()
        },
    )
    .await;
    let mut next_event = async || {
        let event = next(&mut events).await;
        let word = event.routing_key.as_str().rsplit('.').next().unwrap().to_owned();
        (word, text(&event))
    };
    let tuple = r#"["a"]"#;
    let of = |event: &str| (event.to_owned(), tuple.to_owned());
    assert!(out(&channel, &space, tuple).await);
    assert_eq!(next_event().await, of("write"));
    let held = get(&channel, &space, BasicGetOptions::default()).await.unwrap();
    assert_eq!(next_event().await, of("take"));
    held.nack(REQUEUE).await.unwrap();
    assert_eq!(next_event().await, of("return"));
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_expiration("10".into());
    publish_with(&channel, "", &space, r#"["b"]"#, properties).await;
    assert_eq!(next_event().await, ("write".into(), r#"["b"]"#.into()));
    assert_eq!(next_event().await, ("expire".into(), r#"["b"]"#.into()));
}

#[tokio::test]
async fn tuples_are_headers_arrays_or_bodies() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    let headers = table([("kind", string("h")), ("n", AMQPValue::ShortShortInt(7))]);
    let large = vec![b'x'; 100_000];
    publish_with(&channel, "", &space, &large, BasicProperties::default().with_headers(headers)).await;
    let elements = vec![string("kind"), AMQPValue::LongLongInt(7)];
    let array = table([("x-tuple", AMQPValue::FieldArray(elements.into()))]);
    publish_with(&channel, "", &space, "payload", BasicProperties::default().with_headers(array)).await;
    let wide = format!(r#"{{"kind":"j","n":7,"text":"{}"}}"#, "y".repeat(50_000));
    assert!(out(&channel, &space, &wide).await);
    assert_eq!(read_all(&channel, &space, r#"{"kind":"h","n":7}"#).await[0].len(), large.len());
    assert_eq!(read_all(&channel, &space, r#"["kind",7]"#).await, ["payload"]);
    assert_eq!(read_all(&channel, &space, r#"{"text":{"suffix":"yyy"}}"#).await, [wide]);
    assert_eq!(read_all(&channel, &space, r#"{"n":{"ge":7}}"#).await.len(), 2);
}
