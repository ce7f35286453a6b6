//! What a message costs on the wire: read as a publish, written as a delivery, and the general way beside it.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use stoa_amqp::content::{self, ContentHeader, Properties};
use stoa_amqp::frame::{self, FrameKind, next_frame};
use stoa_amqp::{Method, RawTable, ShortStr, Table, Value, basic, fast, queue};

const FRAME_MAX: u32 = 131_072;

/// The header frame's payload of a persistent message.
fn header(body_size: u64) -> Vec<u8> {
    let mut properties = Vec::new();
    Properties {
        content_type: Some(ShortStr::literal("application/octet-stream")),
        delivery_mode: Some(2),
        ..Properties::default()
    }
    .encode(&mut properties);
    let mut header = Vec::new();
    ContentHeader {
        class: content::CLASS_BASIC,
        body_size,
        properties: &properties,
    }
    .encode(&mut header);
    header
}

/// A basic.publish of so many octets, in its frames.
fn publish(body_size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let method = basic::Publish {
        exchange: ShortStr::literal(""),
        routing_key: ShortStr::literal("some-queue"),
        ..basic::Publish::default()
    };
    Method::from(method).write_frame(1, &mut out);
    frame::write_frame(FrameKind::Header, 1, &header(body_size as u64), &mut out);
    if body_size > 0 {
        frame::write_frame(FrameKind::Body, 1, &vec![7; body_size], &mut out);
    }
    out
}

fn publishes(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish");
    for size in [0, 16, 128, 1024] {
        let one = publish(size);
        let buffer = one.repeat(65_536 / one.len());
        let count = (buffer.len() / one.len()) as u64;
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("fast/{size}"), |b| {
            b.iter(|| {
                let mut rest = black_box(&buffer[..]);
                while let Some((publish, used)) = fast::publish(rest, FRAME_MAX) {
                    black_box(publish);
                    rest = &rest[used..];
                }
                assert!(rest.is_empty());
            });
        });
        group.bench_function(format!("fast with properties/{size}"), |b| {
            b.iter(|| {
                let mut rest = black_box(&buffer[..]);
                while let Some((publish, used)) = fast::publish(rest, FRAME_MAX) {
                    let _ = black_box(content::delivery_mode_and_priority(publish.properties()));
                    black_box(publish);
                    rest = &rest[used..];
                }
                assert!(rest.is_empty());
            });
        });
        group.bench_function(format!("general/{size}"), |b| {
            b.iter(|| {
                let mut rest = black_box(&buffer[..]);
                while let Some((frame, used)) = next_frame(rest, FRAME_MAX).unwrap() {
                    match frame.kind {
                        FrameKind::Method => drop(black_box(Method::decode(frame.payload).unwrap())),
                        FrameKind::Header => drop(black_box(ContentHeader::decode(frame.payload).unwrap())),
                        FrameKind::Body | FrameKind::Heartbeat => drop(black_box(frame.payload)),
                    }
                    rest = &rest[used..];
                }
            });
        });
    }
    group.finish();
}

fn deliveries(c: &mut Criterion) {
    let mut group = c.benchmark_group("deliver");
    // As slices, so that their lengths are not known when this is compiled.
    let (tag, queue, envelope) = (&b"ctag1.0123456789abcdef"[..], &b"some-queue"[..], &b"\0\x0asome-queue"[..]);
    for size in [0, 16, 128, 1024] {
        let (header, body) = (header(size as u64), vec![7; size]);
        let count = 65_536 / (100 + size) as u64;
        let mut out = Vec::with_capacity(1 << 18);
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("fast/{size}"), |b| {
            b.iter(|| {
                out.clear();
                for delivery_tag in 0..count {
                    fast::write_deliver(
                        &mut out,
                        1,
                        black_box(tag),
                        delivery_tag,
                        false,
                        black_box(envelope),
                        black_box(&header),
                        black_box(&body),
                        FRAME_MAX,
                    );
                }
                black_box(out.len())
            });
        });
        group.bench_function(format!("general/{size}"), |b| {
            b.iter(|| {
                out.clear();
                for delivery_tag in 0..count {
                    let method = basic::Deliver {
                        consumer_tag: ShortStr::new(black_box(tag)).unwrap(),
                        delivery_tag,
                        routing_key: ShortStr::new(black_box(queue)).unwrap(),
                        ..basic::Deliver::default()
                    };
                    Method::from(method).write_frame(1, &mut out);
                    frame::write_frame(FrameKind::Header, 1, black_box(&header), &mut out);
                    frame::write_frame(FrameKind::Body, 1, black_box(&body), &mut out);
                }
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn methods(c: &mut Criterion) {
    let arguments: Table = [("x-message-ttl", Value::I32(60_000)), ("x-queue-type", Value::from("classic"))]
        .into_iter()
        .collect();
    let encoded = arguments.to_bytes();
    let examples: [(&str, Method<'_>); 3] = [
        (
            "basic.ack",
            basic::Ack {
                delivery_tag: 7,
                multiple: true,
            }
            .into(),
        ),
        (
            "basic.publish",
            basic::Publish {
                routing_key: ShortStr::literal("some-queue"),
                ..basic::Publish::default()
            }
            .into(),
        ),
        (
            "queue.declare",
            queue::Declare {
                queue: ShortStr::literal("some-queue"),
                durable: true,
                arguments: RawTable::new(&encoded).unwrap(),
                ..queue::Declare::default()
            }
            .into(),
        ),
    ];
    let mut group = c.benchmark_group("method");
    for (name, method) in examples {
        let mut payload = Vec::new();
        method.encode(&mut payload);
        group.bench_function(format!("decode/{name}"), |b| b.iter(|| Method::decode(black_box(&payload))));
        let mut out = Vec::with_capacity(256);
        group.bench_function(format!("encode/{name}"), |b| {
            b.iter(|| {
                out.clear();
                black_box(&method).write_frame(1, &mut out);
                black_box(out.len())
            });
        });
    }
    group.bench_function("decode table", |b| b.iter(|| Table::decode(black_box(&encoded))));
    group.finish();
}

criterion_group!(benches, publishes, deliveries, methods);
criterion_main!(benches);
