//! What the end-to-end tests share: the broker as a process, a raw AMQP client, lapin in short words. No test lives here.
//!
//! With `STOA_TEST_AMQP=host:port` the tests use the broker that runs there instead of starting their own, be it Stoa or RabbitMQ,
//! which decides what is right where the specification is silent. Tests that must kill or restart their broker are then skipped.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

pub mod broker;
pub mod http;
pub mod lapin;
pub mod rabbitmq;
pub mod raw;
pub mod tool;

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use broker::Broker;

/// How long anything may take before a test gives up on it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A name that no other test has, on this broker or in another run.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}-{:08x}-{}", rand::random::<u32>(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits for an event, but not for ever.
pub async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come within {DEADLINE:?}"),
    }
}

/// Asks until the answer is there: for what can only be asked for.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ask().await {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "{what} was not so within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The seed of this run: `STOA_TEST_SEED`, or a new one, printed in either case (cargo shows it when the test fails).
pub fn seed() -> u64 {
    let seed = std::env::var("STOA_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("STOA_TEST_SEED={seed}");
    seed
}
