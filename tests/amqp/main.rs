//! What a user does with queues and exchanges, by lapin and by stoa-client: every test here passes against RabbitMQ too.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod client;
mod confirms;
mod connections;
mod consumer_timeouts;
mod consumers;
mod copies;
mod dead_letters;
mod direct_replies;
mod exchanges;
mod expiry;
mod messages;
mod qos;
mod queues;
mod refusals;
mod settling;
#[path = "../support/mod.rs"]
mod support;
mod transactions;
mod turns;
