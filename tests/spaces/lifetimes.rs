//! What becomes of tuples when somebody goes: a holder, a lease, the broker.

use super::*;
use crate::support::Broker;

#[tokio::test]
async fn a_holder_that_is_gone_gives_its_tuple_back() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    assert!(out(&channel, &space, r#"["a"]"#).await);
    let holder = connect(&broker).await;
    let held = get(&channel_on(&holder).await, &space, BasicGetOptions::default()).await.unwrap();
    let mut waiting = seek(&channel, &space, r#"["a"]"#, []).await.unwrap();
    holder.close(200, "OK".into()).await.unwrap();
    let again = next(&mut waiting).await;
    assert!(again.redelivered && again.data == held.data);
    again.ack(ACK).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_runs_out_takes_the_tuple_away() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    // The lease of a tuple is its time to live.
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_expiration("30".into());
    publish_with(&channel, "", &space, r#"["member","a"]"#, properties).await;
    until_ready(&connection, &space, 0).await;
    // The lease of a taker is how long it may hold what it took: then its channel is closed.
    assert!(out(&channel, &space, r#"["a"]"#).await);
    let slow = channel_on(&connection).await;
    let lease = [("x-lease", AMQPValue::LongInt(50))];
    let mut taker = seek(&slow, &space, r#"["a"]"#, lease).await.unwrap();
    let held = next(&mut taker).await;
    let mut waiting = seek(&channel, &space, r#"["a"]"#, []).await.unwrap();
    let again = next(&mut waiting).await;
    assert!(again.redelivered && again.data == held.data);
    again.ack(ACK).await.unwrap();
}

#[tokio::test]
async fn a_space_outlives_the_broker() {
    let Some(mut broker) = Broker::own() else { return };
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    let space = space(&channel).await;
    for n in 0..2000 {
        assert!(n % 100 != 0 || out(&channel, &space, &format!(r#"{{"k":"even","n":{n}}}"#)).await);
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into());
        publish_with(&channel, "", &space, format!(r#"{{"k":"many","n":{n}}}"#), properties).await;
    }
    assert!(out(&channel, &space, r#"{"k":"last"}"#).await);
    let held = get(&channel, &space, BasicGetOptions::default()).await.unwrap();
    let gone = seek(&channel, &space, r#"{"k":"even","n":{"gt":1500}}"#, []).await;
    let mut gone = gone.unwrap();
    for _ in 0..4 {
        next(&mut gone).await.ack(ACK).await.unwrap();
    }
    assert!(out(&channel, &space, r#"{"k":"after the acks"}"#).await);
    broker.kill();
    broker.restart();
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    assert_eq!(counts(&connection, &space).await, Some((2000 + 20 - 4 + 2, 0)));
    assert_eq!(read_all(&channel, &space, r#"{"k":"even"}"#).await.len(), 16);
    let again = get(&channel, &space, BasicGetOptions::default()).await.unwrap();
    assert!(again.redelivered && again.data == held.data);
}
