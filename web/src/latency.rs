//! How long a queue's messages wait and are held, as its object shows it. Stoa's own.

use serde_json::{Value, json};
use stoa_server::{Histogram, Latency};

/// Times in milliseconds, of a sample of the messages; `expired` counts all that expired.
pub(crate) fn show(latency: &Latency) -> Value {
    json!({
        "queue": summary(&latency.queue),
        "ack": summary(&latency.ack),
        "expired": latency.expired,
    })
}

fn summary(histogram: &Histogram) -> Value {
    json!({
        "p50": histogram.percentile_ms(50),
        "p90": histogram.percentile_ms(90),
        "p99": histogram.percentile_ms(99),
        "max": histogram.max_ms(),
        "count": histogram.count(),
    })
}
