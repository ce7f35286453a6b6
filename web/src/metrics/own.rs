//! Stoa's own families, `stoa_*`: how long messages wait and are held, what commits cost, and what the store holds.

use std::io::Write;

use stoa_server::{Buckets, Histogram, Latency, Overview};

use crate::metrics::text::Kind::{self, Counter, Gauge};
use crate::metrics::text::{Label, Text};

/// The longest durations that have a bucket of their own, in milliseconds: the broker's own buckets are three times as many.
const DURATIONS_MS: [u64; 14] = [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 4095, 16_383, 65_535];

/// Beside the wait and the hold of all messages: the store.
pub(super) fn broker(text: &mut Text<impl Write>, seen: &Overview) {
    text.begin_names_with("stoa_");
    let commit = &seen.commit;
    text.family(
        "commit_duration_seconds",
        Kind::Histogram,
        "How long group commits took, from asking the shards to the sync of the journal",
    );
    let seconds = |micros: u64| micros as f64 / 1e6;
    buckets(text, &commit.durations, seconds);
    text.family(
        "commit_size_bytes",
        Kind::Histogram,
        "Octets that group commits wrote to the journal",
    );
    buckets(text, &commit.sizes, |octets| octets as f64);
    text.single(
        "commit_waiters_total",
        Counter,
        "Connections that waited for group commits",
        commit.waiters,
    );
    for (name, help, value) in [
        ("journal_bytes", "Octets of the journal in use", commit.journal_bytes),
        ("memory_messages_bytes", "Octets of messages in memory", seen.resident_bytes),
        ("memory_bodies_bytes", "Octets of large bodies in memory", seen.body_bytes),
        (
            "queue_messages_bytes",
            "Octets of messages in queues, in memory or not",
            seen.messages.bytes,
        ),
    ] {
        text.single(name, Gauge, help, value);
    }
    text.single(
        "store_failed",
        Gauge,
        "1 once a write or sync has failed: nothing is accepted any more",
        commit.failed,
    );
}

fn buckets(text: &mut Text<impl Write>, of: &Buckets, unit: fn(u64) -> f64) {
    let cumulative = of.cumulative().map(|(bound, upto)| (unit(bound), upto));
    text.histogram(&[], cumulative, of.count(), unit(of.sum()));
}

/// One of the two times.
type Part = fn(&Latency) -> &Histogram;

/// How long messages waited and were held, of one queue or of all. They are samples: one message of a queue at a time.
pub(super) fn latencies<'a>(text: &mut Text<impl Write>, all: impl Iterator<Item = (Vec<Label<'a>>, &'a Latency)> + Clone) {
    text.begin_names_with("stoa_");
    let families: [(_, _, Part); 2] = [
        (
            "message_wait_seconds",
            "From the arrival of messages to their first delivery, of a sample",
            |latency| &latency.queue,
        ),
        (
            "message_hold_seconds",
            "From the delivery of messages to their settlement, of a sample",
            |latency| &latency.ack,
        ),
    ];
    for (name, help, part) in families {
        text.family(name, Kind::Histogram, help);
        for (labels, latency) in all.clone() {
            let histogram = part(latency);
            // A bucket of the broker's ends where one of these does.
            let own = histogram.cumulative().filter(|(longest, _)| DURATIONS_MS.contains(longest));
            let seconds = own.map(|(longest, upto)| (longest as f64 / 1e3, upto));
            text.histogram(&labels, seconds, histogram.count(), histogram.sum_ms() as f64 / 1e3);
        }
    }
    text.family("messages_expired_total", Counter, "Messages that expired in their queues");
    for (labels, latency) in all {
        text.sample(&labels, latency.expired);
    }
}
