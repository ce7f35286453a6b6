//! stoa-client against the broker.

use futures_util::StreamExt;
use stoa_client::{Connection, ConsumerOptions, Error, Message, ProducerOptions, PublishError, Queue};

use crate::support::{Broker, unique, within};

async fn open(broker: &Broker) -> Connection {
    within("the connection", Connection::open(&broker.uri())).await.unwrap()
}

async fn queue(connection: &Connection) -> String {
    connection.declare_queue(&Queue::durable(unique("client"))).await.unwrap().name
}

#[tokio::test]
async fn what_a_producer_publishes_a_consumer_gets() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    let queue = queue(&connection).await;
    let mut producer = connection.producer().await.unwrap();
    producer
        .publish(&Message::json("", &queue, &("seven", 7)).unwrap().message_id("m-7").kind("number"))
        .await
        .unwrap();
    let mut consumer = connection.consumer(&queue, ConsumerOptions::default()).await.unwrap();
    let delivery = within("a delivery", consumer.next()).await.unwrap().unwrap();
    assert_eq!(delivery.json::<(String, u32)>().unwrap(), ("seven".into(), 7));
    assert_eq!(
        (delivery.message_id(), delivery.routing_key(), delivery.exchange()),
        (Some("m-7"), queue.as_str(), "")
    );
    assert_eq!(
        (*delivery.properties().delivery_mode(), delivery.is_redelivered()),
        (Some(2), false),
        "persistent unless said otherwise"
    );
    assert!(delivery.json::<bool>().is_err());
    delivery.ack().await.unwrap();
    connection.close().await.unwrap();
    assert_eq!(
        open(&broker).await.declare_queue(&Queue::durable(&queue)).await.unwrap().messages,
        0
    );
}

#[tokio::test]
async fn a_batch_goes_out_in_order_whatever_its_window() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    for window in [0, 1, 10, 1000] {
        let queue = queue(&connection).await;
        let messages: Vec<_> = (0..300_u32).map(|number| Message::new("", &queue, number.to_be_bytes())).collect();
        let mut producer = connection.producer_with(ProducerOptions { window }).await.unwrap();
        within("all confirms", producer.publish_batch(&messages)).await.unwrap();
        let mut consumer = connection
            .consumer(
                &queue,
                ConsumerOptions {
                    no_ack: true,
                    ..Default::default()
                },
            )
            .await
            .unwrap();
        for number in 0..300_u32 {
            let delivery = within("a delivery", consumer.next()).await.unwrap().unwrap();
            assert_eq!(delivery.body(), number.to_be_bytes(), "window {window}");
            delivery.ack().await.unwrap();
        }
    }
}

#[tokio::test]
async fn unroutable_messages_are_named() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    let queue = queue(&connection).await;
    let mut producer = connection.producer().await.unwrap();
    let nowhere = unique("nowhere");
    let refused = producer.publish(&Message::new("", &nowhere, "m")).await;
    assert!(
        matches!(&refused, Err(PublishError::Unroutable { code: 312, text }) if text == "NO_ROUTE"),
        "{refused:?}"
    );
    producer.publish(&Message::new("", &nowhere, "m").optional()).await.unwrap();

    let mut messages: Vec<_> = (0..200).map(|number| Message::new("", &queue, format!("{number}"))).collect();
    for place in [3, 4, 77, 199] {
        messages[place] = Message::new("", &nowhere, format!("{place}")).message_id(format!("{place}"));
    }
    messages[100] = Message::new("", &nowhere, "nobody insists").optional();
    let error = producer.publish_batch(&messages).await.unwrap_err();
    let places: Vec<_> = error.failures.iter().map(|(place, _)| *place).collect();
    assert_eq!((places, error.total), (vec![3, 4, 77, 199], 200));
    assert!(
        error
            .failures
            .iter()
            .all(|(_, error)| matches!(error, PublishError::Unroutable { .. }))
    );
    producer.publish(&Message::new("", &queue, "m")).await.unwrap();
    assert_eq!(connection.declare_queue(&Queue::durable(&queue)).await.unwrap().messages, 196);
}

#[tokio::test]
async fn a_producer_says_why_its_channel_was_closed() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    let mut producer = connection.producer().await.unwrap();
    let missing = unique("no-exchange");
    let refused = producer.publish(&Message::new(&missing, "k", "m")).await.unwrap_err();
    let PublishError::Failed(Error::Refused { code: 404, text }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(text, format!("NOT_FOUND - no exchange '{missing}' in vhost '/'"));
    let after = producer
        .publish_batch(&[Message::new("", "k", "1"), Message::new("", "k", "2")])
        .await
        .unwrap_err();
    assert_eq!(after.failures.len(), 2, "{after}");
    connection
        .producer()
        .await
        .unwrap()
        .publish(&Message::new("", "k", "m").optional())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_delivery_is_settled_as_told_and_goes_back_when_dropped() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    let queue = queue(&connection).await;
    let messages: Vec<_> = ["ack", "nack", "reject", "requeue", "drop"]
        .map(|body| Message::new("", &queue, body))
        .into();
    connection.producer().await.unwrap().publish_batch(&messages).await.unwrap();
    let mut consumer = connection
        .consumer(
            &queue,
            ConsumerOptions {
                prefetch: 1,
                ..Default::default()
            },
        )
        .await
        .unwrap();
    let mut seen = Vec::new();
    loop {
        let delivery = within("a delivery", consumer.next()).await.unwrap().unwrap();
        let body = String::from_utf8(delivery.body().to_vec()).unwrap();
        let again = delivery.is_redelivered();
        seen.push(format!("{body}{}", if again { " again" } else { "" }));
        match body.as_str() {
            "nack" => delivery.nack(false).await.unwrap(),
            "reject" => delivery.reject().await.unwrap(),
            "requeue" if !again => delivery.nack(true).await.unwrap(),
            "drop" if !again => drop(delivery),
            _ => delivery.ack().await.unwrap(),
        }
        if body == "drop" && again {
            break;
        }
    }
    assert_eq!(seen, ["ack", "nack", "reject", "requeue", "requeue again", "drop", "drop again"]);
}

#[tokio::test]
async fn a_cancelled_consumer_ends_after_what_it_has() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    let queue = queue(&connection).await;
    let messages: Vec<_> = (0..3).map(|number| Message::new("", &queue, format!("{number}"))).collect();
    connection.producer().await.unwrap().publish_batch(&messages).await.unwrap();
    let mut consumer = connection
        .consumer(
            &queue,
            ConsumerOptions {
                tag: "mine".into(),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(consumer.tag(), "mine");
    within("a delivery", consumer.next()).await.unwrap().unwrap().ack().await.unwrap();
    consumer.cancel().await.unwrap();
    within("the end", async {
        while let Some(delivery) = consumer.next().await {
            delivery.unwrap().ack().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn errors_say_what_was_refused() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    let missing = unique("missing");
    let error = connection.consumer(&missing, ConsumerOptions::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the broker refused: NOT_FOUND - no queue '{missing}' in vhost '/' (404)")
    );
    let queue = queue(&connection).await;
    let error = connection.declare_queue(&Queue::durable(&queue).auto_delete()).await.unwrap_err();
    assert_eq!(error.code(), Some(406), "{error}");
    let wrong = format!("amqp://guest:wrong@{}", broker.amqp());
    assert_eq!(Connection::open(&wrong).await.unwrap_err().code(), Some(403));
    let nowhere = format!("amqp://{}/nowhere", broker.amqp());
    assert_eq!(Connection::open(&nowhere).await.unwrap_err().code(), Some(530));
    assert!(matches!(Connection::open("http://x").await, Err(Error::Uri(_))));
}

#[tokio::test]
async fn a_temporary_queue_is_named_by_the_broker() {
    let broker = Broker::shared();
    let connection = open(&broker).await;
    let queue = connection.declare_queue(&Queue::temporary()).await.unwrap();
    assert!(queue.name.starts_with("amq.gen-"), "{queue:?}");
    let mut consumer = connection.consumer(&queue.name, ConsumerOptions::default()).await.unwrap();
    connection
        .producer()
        .await
        .unwrap()
        .publish(&Message::new("", &queue.name, "m").transient())
        .await
        .unwrap();
    let delivery = within("a delivery", StreamExt::next(&mut consumer)).await.unwrap().unwrap();
    assert_eq!(delivery.body(), b"m");
    assert_eq!(*delivery.properties().delivery_mode(), Some(1));
}
