//! Moving messages.

use serde_json::{Value, json};

use crate::support::http::{GUEST, send};
use crate::support::lapin::*;
use crate::support::{Broker, DEADLINE, unique};
use crate::{ask, contents, each, ok};

async fn filled(channel: &Channel, count: usize) -> String {
    let queue = durable_queue(channel, "filled").await;
    for n in 0..count {
        let headers = table([
            ("odd", AMQPValue::Boolean(n % 2 == 1)),
            ("CC", AMQPValue::FieldArray(Vec::new().into())),
        ]);
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_delivery_mode(2)
            .with_message_id(format!("id-{n}").into());
        let body = if n == 1 { "1".repeat(20_000) } else { n.to_string() };
        publish_with(channel, "", &queue, body, properties).await;
    }
    sync(channel).await;
    queue
}

fn move_to(broker: &Broker, queue: &str, request: &Value) -> Value {
    ok(broker, "POST", &format!("{}/move", contents(queue)), &request.to_string())
}

#[tokio::test]
async fn messages_are_moved_by_id_or_by_filter_and_keep_what_they_are() {
    let Some(mut broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let (queue, to) = (filled(&channel, 8).await, durable_queue(&channel, "to").await);
    let held = get(&channel, &queue, BasicGetOptions::default()).await.unwrap();
    let request = json!({"ids": ["0", "1", 4, "1", "77"], "destination": {"queue": to}});
    assert_eq!(
        move_to(&broker, &queue, &request),
        json!({"moved": 2, "stayed": 0}),
        "0 is held, 77 is not there"
    );
    let request = json!({"filter": {"headers": {"odd": true}}, "count": 2, "destination": {"exchange": "", "routing_key": to}});
    assert_eq!(move_to(&broker, &queue, &request), json!({"moved": 2, "stayed": 0, "next": "6"}));
    let page = ok(&broker, "GET", &contents(&queue), "");
    assert_eq!(each(&page, "payload"), ["0", "2", "6", "7"]);
    drop(held);
    broker.restart();
    let channel = crate::support::lapin::channel(&broker).await;
    let mut moved = Vec::new();
    while let Some(message) = take(&channel, &to).await {
        let id = message.properties.message_id().clone().unwrap().to_string();
        assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("", &*to));
        assert_eq!(message.properties.delivery_mode(), &Some(2));
        moved.push((id, message.data.len()));
    }
    let expected = [("id-1", 20_000), ("id-4", 1), ("id-3", 1), ("id-5", 1)].map(|(id, size)| (id.to_owned(), size));
    assert_eq!(moved, expected, "the moves are durable");
    assert_eq!(drain(&channel, &queue).await, ["0", "2", "6", "7"]);
}

#[tokio::test]
async fn a_crash_in_the_middle_leaves_every_message_in_one_queue() {
    const COUNT: usize = 600;
    let Some(mut broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let (queue, to) = (filled(&channel, COUNT).await, durable_queue(&channel, "to").await);
    // The answer to a declaration of a durable queue is durable, and so is what came before it.
    durable_queue(&channel, "last").await;
    let (http, (tell, told)) = (broker.http(), std::sync::mpsc::channel());
    let path = format!("{}/move", contents(&queue));
    let request = json!({"filter": {}, "count": 7, "destination": {"queue": to}}).to_string();
    let moving = std::thread::spawn(move || {
        // Until the broker is gone, or everything has moved.
        while send(http, "POST", &path, GUEST, &request).json()["moved"] != 0 {
            let _ = tell.send(());
        }
    });
    let answered = 20 + rand::random_range(0..30);
    (0..answered).for_each(|_| told.recv_timeout(DEADLINE).unwrap());
    broker.restart();
    let _ = moving.join();
    let channel = crate::support::lapin::channel(&broker).await;
    let (left, moved) = (drain(&channel, &queue).await, drain(&channel, &to).await);
    assert!(
        moved.len() >= 7 * answered,
        "what was answered is durable: {} of {answered} times 7",
        moved.len()
    );
    let mut all: Vec<_> = left.into_iter().chain(moved).collect();
    all.sort_unstable();
    let mut expected: Vec<_> = (0..COUNT)
        .map(|n| if n == 1 { "1".repeat(20_000) } else { n.to_string() })
        .collect();
    expected.sort_unstable();
    assert!(all == expected, "{} messages, each in one queue", all.len());
}

#[tokio::test]
async fn an_exchange_leads_on_and_what_nobody_takes_stays() {
    let Some(broker) = Broker::own() else { return };
    let channel = channel(&broker).await;
    let queue = filled(&channel, 6).await;
    let small = unique("small");
    let arguments = table([("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", string("reject-publish"))]);
    channel
        .queue_declare(small.as_str().into(), QueueDeclareOptions::default(), arguments)
        .await
        .unwrap();
    let fanout = exchange(&channel, ExchangeKind::Fanout).await;
    let request = json!({"filter": {}, "destination": {"exchange": fanout}});
    assert_eq!(
        move_to(&broker, &queue, &request),
        json!({"moved": 0, "stayed": 6}),
        "it leads nowhere"
    );
    bind(&channel, &small, &fanout, "").await;
    assert_eq!(
        move_to(&broker, &queue, &request),
        json!({"moved": 1, "stayed": 5}),
        "it leads to where there is room for one"
    );
    let other = self::queue(&channel, "other").await;
    bind(&channel, &other, &fanout, "").await;
    let request = json!({"ids": ["3"], "destination": {"exchange": fanout}});
    assert_eq!(
        move_to(&broker, &queue, &request),
        json!({"moved": 1, "stayed": 0}),
        "one of the queues takes it"
    );
    assert_eq!(drain(&channel, &other).await, ["3"]);
    let mut left = Vec::new();
    while let Some(message) = take(&channel, &queue).await {
        left.push((message.data[0], message.redelivered));
    }
    assert_eq!(left, [(b'1', false), (b'2', false), (b'4', false), (b'5', false)]);
    let page = ok(&broker, "GET", &contents(&small), "");
    assert_eq!(
        (&page["messages"][0]["exchange"], &page["messages"][0]["routing_key"]),
        (&json!(fanout), &json!(queue))
    );
}

#[tokio::test]
async fn a_move_that_makes_no_sense_is_refused() {
    let Some(broker) = Broker::own_with(&["--set", "limits.contents_page_max=2"]) else {
        return;
    };
    let channel = channel(&broker).await;
    let queue = filled(&channel, 3).await;
    let to = json!({"queue": "amq.none"});
    for (status, request) in [
        (400, json!([])),
        (400, json!({"ids": ["0"]})),
        (400, json!({"destination": to})),
        (400, json!({"ids": ["0"], "filter": {}, "destination": to})),
        (400, json!({"ids": ["first"], "destination": to})),
        (400, json!({"ids": ["0", "1", "2"], "destination": to})),
        (400, json!({"ids": ["0"], "destination": {"queue": "a", "exchange": "b"}})),
        (400, json!({"ids": ["0"], "destination": {"routing_key": "b"}})),
        (400, json!({"filter": {"size": 1}, "destination": to})),
        (404, json!({"ids": ["0"], "destination": {"exchange": "none"}})),
    ] {
        let (answer, body) = ask(&broker, "POST", &format!("{}/move", contents(&queue)), &request.to_string());
        assert_eq!(answer, status, "{request}: {body}");
    }
    assert_eq!(drain(&channel, &queue).await.len(), 3);
}
