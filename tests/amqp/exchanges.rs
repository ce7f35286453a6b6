//! Exchanges of every kind, bindings to queues and between exchanges, and what happens when they go.

use crate::support::lapin::*;
use crate::support::{Broker, eventually, unique};

#[tokio::test]
async fn direct_fanout_and_topic_route_by_their_keys() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    // kind, bindings of the queues, published key, the queues that get it
    let cases: [(ExchangeKind, &[&str], &str, &[usize]); 16] = [
        (ExchangeKind::Direct, &["a", "b", "a"], "a", &[0, 2]),
        (ExchangeKind::Direct, &["a", "b", ""], "", &[2]),
        (ExchangeKind::Direct, &["a", "b"], "a.b", &[]),
        (ExchangeKind::Fanout, &["a", "b", ""], "c", &[0, 1, 2]),
        (
            ExchangeKind::Topic,
            &["a.b.c", "a.*.c", "a.#", "#", "*.b", "a.b"],
            "a.b.c",
            &[0, 1, 2, 3],
        ),
        (ExchangeKind::Topic, &["a.#", "a.*", "a", "#.a", "*"], "a", &[0, 2, 3, 4]),
        (ExchangeKind::Topic, &["#", "*", "", "#.#"], "", &[0, 2, 3]),
        (
            ExchangeKind::Topic,
            &["#.c", "#.b.#", "a.#.c", "a.#.#.c", "*.#.*", "a.*.*.c"],
            "a.b.c",
            &[0, 1, 2, 3, 4],
        ),
        (ExchangeKind::Topic, &["*.*", "*.", ".*", "a.*"], "a.", &[0, 1, 3]),
        (ExchangeKind::Topic, &["a..b", "a.*.b", "a.b"], "a..b", &[0, 1]),
        (ExchangeKind::Topic, &["*a", "a#", "*.a#"], "a", &[]),
        (ExchangeKind::Topic, &["*a", "a#"], "*a", &[0]),
        (ExchangeKind::Topic, &["#.a.#.a.#", "#.a.#.a", "a.#.a"], "a.x.a.a", &[0, 1, 2]),
        (ExchangeKind::Topic, &["#.a.#.a.#"], "a.x", &[]),
        (ExchangeKind::Topic, &["*", "a.b"], "A.b", &[]),
        (ExchangeKind::Topic, &["ü.*", "*.ß"], "ü.ß", &[0, 1]),
    ];
    for (kind, bindings, key, expected) in cases {
        let exchange = exchange(&channel, kind.clone()).await;
        let mut queues = Vec::new();
        for binding in bindings {
            let queue = queue(&channel, "routed").await;
            bind(&channel, &queue, &exchange, binding).await;
            queues.push(queue);
        }
        publish_to(&channel, &exchange, key, "m").await;
        let mut got = Vec::new();
        for (at, queue) in queues.iter().enumerate() {
            got.extend(drain(&channel, queue).await.iter().map(|_| at));
        }
        assert_eq!(got, expected, "{kind:?} with the bindings {bindings:?} and the key {key:?}");
    }
}

#[tokio::test]
async fn headers_route_by_all_or_any_of_them() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let exchange = exchange(&channel, ExchangeKind::Headers).await;
    let (a, b) = (("a", string("1")), ("b", AMQPValue::LongInt(2)));
    let bindings = [
        ("all of a and b", table([("x-match", string("all")), a.clone(), b.clone()])),
        ("any of a and b", table([("x-match", string("any")), a.clone(), b.clone()])),
        ("all is the default", table([a.clone(), b.clone()])),
        (
            "a is there, whatever it is",
            table([("x-match", string("all")), ("a", AMQPValue::Void)]),
        ),
        ("nothing is asked for", table([("x-match", string("all"))])),
    ];
    let mut queues = Vec::new();
    for (_, arguments) in &bindings {
        let queue = queue(&channel, "headers").await;
        bind_with(&channel, &queue, &exchange, "ignored", arguments.clone()).await;
        queues.push(queue);
    }
    let messages: [(FieldTable, [bool; 5]); 5] = [
        (table([a.clone(), b.clone()]), [true, true, true, true, true]),
        (table([a.clone()]), [false, true, false, true, true]),
        (table([("a", string("other")), b.clone()]), [false, true, false, true, true]),
        (table([("c", string("1"))]), [false, false, false, false, true]),
        (table([]), [false, false, false, false, true]),
    ];
    for (headers, expected) in messages {
        publish_with(
            &channel,
            &exchange,
            "key",
            "m",
            BasicProperties::default().with_headers(headers.clone()),
        )
        .await;
        for (at, queue) in queues.iter().enumerate() {
            let came = !drain(&channel, queue).await.is_empty();
            assert_eq!(came, expected[at], "{}, with the headers {headers:?}", bindings[at].0);
        }
    }
}

#[tokio::test]
async fn the_default_exchange_leads_to_every_queue_by_its_name() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let queue = queue(&channel, "default").await;
    publish(&channel, &queue, "m").await;
    assert_eq!(drain(&channel, &queue).await, ["m"]);
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"] {
        let kind = if name == "amq.match" { "headers" } else { &name[4..] };
        let kind = ExchangeKind::Custom(kind.into());
        let options = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        channel
            .exchange_declare(name.into(), kind, options, FieldTable::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_message_comes_once_to_a_queue_however_many_bindings_lead_there() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let (topic, fanout) = (
        exchange(&channel, ExchangeKind::Topic).await,
        exchange(&channel, ExchangeKind::Fanout).await,
    );
    let queue = queue(&channel, "once").await;
    for key in ["a.*", "#", "a.b"] {
        bind(&channel, &queue, &topic, key).await;
    }
    bind(&channel, &queue, &fanout, "").await;
    let options = ExchangeBindOptions::default();
    // a cycle: topic -> fanout -> topic
    channel
        .exchange_bind(
            fanout.as_str().into(),
            topic.as_str().into(),
            "a.#".into(),
            options,
            FieldTable::default(),
        )
        .await
        .unwrap();
    channel
        .exchange_bind(
            topic.as_str().into(),
            fanout.as_str().into(),
            "".into(),
            options,
            FieldTable::default(),
        )
        .await
        .unwrap();
    publish_to(&channel, &topic, "a.b", "m").await;
    assert_eq!(drain(&channel, &queue).await, ["m"]);
}

#[tokio::test]
async fn exchanges_are_bound_to_exchanges_and_unbound() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let (source, destination) = (
        exchange(&channel, ExchangeKind::Direct).await,
        exchange(&channel, ExchangeKind::Fanout).await,
    );
    let queue = queue(&channel, "bound").await;
    bind(&channel, &queue, &destination, "").await;
    let bound = channel.exchange_bind(
        destination.as_str().into(),
        source.as_str().into(),
        "k".into(),
        Default::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
    publish_to(&channel, &source, "k", "1").await;
    publish_to(&channel, &source, "other", "2").await;
    let unbound = channel.exchange_unbind(
        destination.as_str().into(),
        source.as_str().into(),
        "k".into(),
        Default::default(),
        FieldTable::default(),
    );
    unbound.await.unwrap();
    publish_to(&channel, &source, "k", "3").await;
    assert_eq!(drain(&channel, &queue).await, ["1"]);
}

#[tokio::test]
async fn a_binding_is_told_by_all_of_its_parts_and_goes_with_its_ends() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let exchange = exchange(&channel, ExchangeKind::Direct).await;
    let queue = queue(&channel, "unbound").await;
    let with = table([("x", string("1"))]);
    bind(&channel, &queue, &exchange, "k").await;
    bind(&channel, &queue, &exchange, "k").await;
    bind_with(&channel, &queue, &exchange, "k", with.clone()).await;
    let unbind =
        |key: &'static str, arguments| channel.queue_unbind(queue.as_str().into(), exchange.as_str().into(), key.into(), arguments);
    unbind("other", FieldTable::default()).await.unwrap();
    unbind("k", FieldTable::default()).await.unwrap();
    publish_to(&channel, &exchange, "k", "1").await;
    unbind("k", with).await.unwrap();
    publish_to(&channel, &exchange, "k", "2").await;
    assert_eq!(drain(&channel, &queue).await, ["1"]);

    bind(&channel, &queue, &exchange, "k").await;
    channel
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    declare(&channel, &queue, QueueDeclareOptions::default()).await;
    publish_to(&channel, &exchange, "k", "3").await;
    assert!(
        drain(&channel, &queue).await.is_empty(),
        "a new queue has none of the old one's bindings"
    );
    let options = ExchangeDeleteOptions {
        if_unused: true,
        ..Default::default()
    };
    channel.exchange_delete(exchange.as_str().into(), options).await.unwrap();
}

#[tokio::test]
async fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let broker = Broker::shared();
    let connection = connect(&broker).await;
    let channel = channel_on(&connection).await;
    let name = unique("auto");
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..Default::default()
    };
    channel
        .exchange_declare(name.as_str().into(), ExchangeKind::Direct, options, FieldTable::default())
        .await
        .unwrap();
    let queue = queue(&channel, "auto").await;
    bind(&channel, &queue, &name, "a").await;
    bind(&channel, &queue, &name, "b").await;
    let exists = async || {
        let channel = channel_on(&connection).await;
        let options = ExchangeDeclareOptions {
            passive: true,
            ..Default::default()
        };
        channel
            .exchange_declare(name.as_str().into(), ExchangeKind::Direct, options, FieldTable::default())
            .await
            .is_ok()
    };
    channel
        .queue_unbind(queue.as_str().into(), name.as_str().into(), "a".into(), FieldTable::default())
        .await
        .unwrap();
    assert!(exists().await);
    channel
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    eventually("the end of the exchange", async || (!exists().await).then_some(())).await;
}

#[tokio::test]
async fn what_an_exchange_cannot_route_goes_to_its_alternate() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let (alternate, name) = (exchange(&channel, ExchangeKind::Fanout).await, unique("main"));
    let arguments = table([("alternate-exchange", string(&alternate))]);
    channel
        .exchange_declare(name.as_str().into(), ExchangeKind::Direct, Default::default(), arguments)
        .await
        .unwrap();
    let (routed, strays) = (queue(&channel, "routed").await, queue(&channel, "strays").await);
    bind(&channel, &routed, &name, "k").await;
    bind(&channel, &strays, &alternate, "").await;
    publish_to(&channel, &name, "k", "1").await;
    publish_to(&channel, &name, "other", "2").await;
    assert_eq!(
        (drain(&channel, &routed).await, drain(&channel, &strays).await),
        (vec!["1".into()], vec!["2".into()])
    );
}

#[tokio::test]
async fn deleting_an_exchange_that_is_not_there_is_done_already() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    channel
        .exchange_delete(unique("nothing").as_str().into(), ExchangeDeleteOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_binding_without_queue_and_key_is_by_the_name_of_the_queue_declared_last() {
    let broker = Broker::shared();
    let channel = channel(&broker).await;
    let exchange = exchange(&channel, ExchangeKind::Direct).await;
    let (first, last) = (queue(&channel, "first").await, queue(&channel, "last").await);
    for (queue, key) in [(&first[..], "k"), (&first, ""), ("", "k"), ("", "")] {
        bind(&channel, queue, &exchange, key).await;
    }
    for key in ["", &first, &last, "k"] {
        publish_to(&channel, &exchange, key, format!("<{key}>")).await;
    }
    sync(&channel).await;
    assert_eq!(drain(&channel, &first).await, ["<>", "<k>"]);
    assert_eq!(drain(&channel, &last).await, [format!("<{last}>"), "<k>".into()]);
    channel
        .queue_unbind("".into(), exchange.as_str().into(), "".into(), FieldTable::default())
        .await
        .unwrap();
    publish_to(&channel, &exchange, &last, "nothing").await;
    sync(&channel).await;
    assert!(take(&channel, &last).await.is_none());
}
