//! A single active consumer that gives way, as on quorum queues of RabbitMQ 4.0 (3.10, which may be installed, does not know it).

use super::*;
use crate::support::Broker;

#[tokio::test]
async fn a_single_active_consumer_gives_way_to_a_higher_priority_once_it_holds_nothing() {
    let broker = Broker::shared();
    if Broker::is_external() {
        return;
    }
    let connection = connect(&broker).await;
    let channel = confirming(&connection).await;
    for (kind, gives_way) in [("quorum", true), ("classic", false)] {
        let arguments = [
            ("x-queue-type", string(kind)),
            ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ];
        let queue = queue_with(&channel, arguments).await;
        let (one, two) = (channel_on(&connection).await, channel_on(&connection).await);
        let mut low = consume(&one, &queue, BasicConsumeOptions::default()).await;
        assert!(publish_headed(&channel, &queue, "held", "h", string("v")).await);
        let held = next(&mut low).await;
        let arguments = table([("x-priority", AMQPValue::LongInt(5))]);
        let consumed = two.basic_consume(queue.as_str().into(), "".into(), BasicConsumeOptions::default(), arguments);
        let mut high = within("basic.consume-ok", consumed).await.unwrap();
        held.ack(ACK).await.unwrap();
        sync(&one).await;
        assert!(publish_headed(&channel, &queue, "next", "h", string("v")).await);
        let consumer = if gives_way { &mut high } else { &mut low };
        assert_eq!(text(&next(consumer).await), "next", "{kind}");
    }
}
