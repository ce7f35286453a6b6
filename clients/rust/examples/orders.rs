//! Publishes ten orders as JSON, consumes them, and acknowledges each. Takes the broker's URI as its argument.

#![allow(clippy::print_stdout)]

use serde::{Deserialize, Serialize};
use stoa_client::{Connection, ConsumerOptions, Message, Queue};

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    id: u64,
    item: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "amqp://guest:guest@127.0.0.1:5672".into());
    let connection = Connection::open(&uri).await?;
    connection.declare_queue(&Queue::durable("orders")).await?;

    let orders = (0..10).map(|id| Order {
        id,
        item: format!("item {id}"),
    });
    let messages = orders
        .map(|order| Message::json("", "orders", &order))
        .collect::<Result<Vec<_>, _>>()?;
    connection.producer().await?.publish_batch(&messages).await?;
    println!("published {} orders, all confirmed", messages.len());

    let mut consumer = connection.consumer("orders", ConsumerOptions::default()).await?;
    for _ in &messages {
        let Some(delivery) = consumer.next().await else { break };
        let delivery = delivery?;
        println!("{:?}", delivery.json::<Order>()?);
        delivery.ack().await?;
    }
    Ok(connection.close().await?)
}
