//! Sender-selected distribution: the headers CC and BCC (a RabbitMQ extension).

use crate::support::Broker;
use crate::support::lapin::*;

fn keys(keys: &[&str]) -> AMQPValue {
    AMQPValue::FieldArray(keys.iter().map(|key| string(key)).collect::<Vec<_>>().into())
}

fn copies(cc: &[&str], bcc: &[&str]) -> BasicProperties {
    BasicProperties::default().with_headers(table([("CC", keys(cc)), ("kept", AMQPValue::Boolean(true)), ("BCC", keys(bcc))]))
}

#[tokio::test]
async fn a_message_goes_to_all_keys_once_and_hides_the_blind_ones() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let mut queues = Vec::new();
    for _ in 0..4 {
        queues.push(queue(&channel, "copies").await);
    }
    let [to, cc, bcc, not] = &queues[..] else { unreachable!() };
    let twice = copies(&[cc, to, cc], &[bcc]);
    publish_with(&channel, "", to, "copied", twice).await;
    publish(&channel, to, "plain").await;
    sync(&channel).await;
    for queue in [to, cc, bcc] {
        let message = take(&channel, queue).await.unwrap();
        assert_eq!((text(&message), message.routing_key.as_str()), ("copied".into(), &to[..]));
        let headers = message.properties.headers().clone().unwrap();
        let names: Vec<_> = headers.inner().keys().map(|name| name.to_string()).collect();
        assert_eq!(names, ["CC", "kept"], "BCC is nobody's business");
        assert_eq!(headers.inner().get("CC"), Some(&keys(&[cc, to, cc])));
    }
    assert_eq!(drain(&channel, to).await, ["plain"]);
    for queue in [cc, bcc, not] {
        assert!(take(&channel, queue).await.is_none());
    }
}

#[tokio::test]
async fn copies_are_routed_by_the_exchange_that_the_message_is_published_to() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let exchange = exchange(&channel, ExchangeKind::Topic).await;
    let (all, some) = (queue(&channel, "all").await, queue(&channel, "some").await);
    bind(&channel, &all, &exchange, "#").await;
    bind(&channel, &some, &exchange, "a.*").await;
    for (key, cc) in [("b", "a.b"), ("a.c", "a.b"), ("b", "c")] {
        publish_with(&channel, &exchange, key, key, copies(&[cc], &[])).await;
    }
    sync(&channel).await;
    assert_eq!(drain(&channel, &all).await, ["b", "a.c", "b"]);
    assert_eq!(drain(&channel, &some).await, ["b", "a.c"]);
}

#[tokio::test]
async fn the_keys_stay_together_behind_the_first_exchange() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let (first, second) = (
        exchange(&channel, ExchangeKind::Direct).await,
        exchange(&channel, ExchangeKind::Topic).await,
    );
    let queue = queue(&channel, "behind").await;
    let (options, none) = (ExchangeBindOptions::default(), FieldTable::default());
    channel
        .exchange_bind(second.as_str().into(), first.as_str().into(), "a".into(), options, none)
        .await
        .unwrap();
    bind(&channel, &queue, &second, "b.*").await;
    for (key, cc, bcc) in [("a", "c", "b.1"), ("b.2", "a", "c"), ("a", "c", "c"), ("b.3", "c", "c")] {
        publish_with(&channel, &first, key, format!("{key} {cc} {bcc}"), copies(&[cc], &[bcc])).await;
    }
    sync(&channel).await;
    assert_eq!(drain(&channel, &queue).await, ["a c b.1", "b.2 a c"]);
}
