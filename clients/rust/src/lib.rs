//! The Rust client for Stoa: a [`Producer`] that waits for the broker's confirms and a [`Consumer`] that hands out
//! [`Delivery`] guards, on top of [lapin](https://docs.rs/lapin). It speaks plain AMQP 0-9-1, so it works with any broker that does.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use stoa_client::{Connection, ConsumerOptions, Message, Queue};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     id: u64,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let connection = Connection::open("amqp://guest:guest@127.0.0.1:5672").await?;
//! connection.declare_queue(&Queue::durable("orders")).await?;
//!
//! let mut producer = connection.producer().await?;
//! producer.publish(&Message::json("", "orders", &Order { id: 7 })?).await?; // on disk when this returns
//!
//! let mut orders = connection.consumer("orders", ConsumerOptions::default()).await?;
//! while let Some(delivery) = orders.next().await {
//!     let delivery = delivery?;
//!     let order: Order = delivery.json()?;
//!     println!("order {}", order.id);
//!     delivery.ack().await?; // without this, dropping the delivery gives it back to the queue
//! #   break;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The same, to be run against a broker: `cargo run --release -p stoa-client --example orders`.
//!
//! What is here never reconnects: when a connection or channel is lost, every call and stream on it says so, and what was not
//! confirmed or not acknowledged is the caller's to publish again or the broker's to deliver again.
//!
//! A [`Space`] is a shared data space: tuples, made by [`tuple!`], are put in, and taken or read by [`template!`].
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use stoa_client::{Connection, pattern, template, tuple};
//!
//! let connection = Connection::open("amqp://guest:guest@127.0.0.1:5672").await?;
//! let space = connection.space("work").await?;
//! space.out(&tuple!["job", 7, "resize"]).await?;
//! let job = space.take(&template!["job", pattern::int(), ..]).await?; // waits until there is one
//! println!("{:?}", job.tuple());
//! job.done().await?; // without this, dropping it puts it back
//! # Ok(())
//! # }
//! ```
//!
//! A connection needs a tokio runtime; [`Connection::open`] must be called inside one.

mod connection;
mod consumer;
mod error;
mod lifeline;
mod message;
mod producer;
mod queue;
mod space;
mod tuple;

pub use connection::Connection;
pub use consumer::{Consumer, ConsumerOptions, Delivery};
pub use error::{BatchError, Error, PublishError};
pub use lapin::BasicProperties as Properties;
pub use lapin::types::{AMQPValue as Value, FieldTable as Table};
pub use message::Message;
pub use producer::{Producer, ProducerOptions};
pub use queue::{DeclaredQueue, Queue};
pub use space::{Space, Taken, TakenMany, Transaction};
pub use tuple::{IntoDatum, IntoPattern, Pattern, Template, Tuple, pattern};
