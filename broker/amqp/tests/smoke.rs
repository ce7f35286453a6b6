//! What was written reads back.
#![allow(clippy::unwrap_used, missing_docs)]
use stoa_amqp::*;

#[test]
fn declare() {
    let table: Table = [("x-max-length", 5i32)].into_iter().collect();
    let bytes = table.to_bytes();
    let m: Method = queue::Declare {
        queue: ShortStr::literal("q"),
        durable: true,
        auto_delete: true,
        arguments: RawTable::new(&bytes).unwrap(),
        ..Default::default()
    }
    .into();
    let mut out = Vec::new();
    m.write_frame(3, &mut out);
    let (f, n) = frame::next_frame(&out, 4096).unwrap().unwrap();
    assert_eq!(n, out.len());
    assert_eq!(
        f.payload,
        [
            &[0, 50, 0, 10, 0, 0, 1, b'q', 0b1010, 0, 0, 0, 18, 12][..],
            b"x-max-lengthI\0\0\0\x05"
        ]
        .concat()
    );
    assert_eq!(Method::decode(f.payload).unwrap(), m);
    let m = Method::ConnectionOpen(connection::Open {
        virtual_host: ShortStr::literal("/"),
    });
    let mut out = Vec::new();
    m.encode(&mut out);
    assert_eq!(out, [0, 10, 0, 40, 1, b'/', 0, 0]);
    assert_eq!(Method::decode(&out).unwrap(), m);
}

#[test]
fn publish() {
    let p = content::Properties {
        delivery_mode: Some(2),
        content_type: Some(ShortStr::literal("a/b")),
        ..Default::default()
    };
    let mut props = Vec::new();
    p.encode(&mut props);
    assert_eq!(content::Properties::decode(&props).unwrap(), p);
    assert_eq!(content::delivery_mode_and_priority(&props).unwrap(), (Some(2), None));
    let mut header = Vec::new();
    content::ContentHeader {
        class: 60,
        body_size: 5,
        properties: &props,
    }
    .encode(&mut header);
    let mut out = Vec::new();
    Method::from(basic::Publish {
        exchange: ShortStr::literal("ex"),
        routing_key: ShortStr::literal("key"),
        mandatory: true,
        immediate: false,
    })
    .write_frame(1, &mut out);
    frame::write_frame(frame::FrameKind::Header, 1, &header, &mut out);
    frame::write_frame(frame::FrameKind::Body, 1, b"hello", &mut out);
    let (p, n) = fast::publish(&out, 131072).unwrap();
    assert_eq!(
        (n, p.envelope, p.body, p.mandatory, p.header),
        (out.len(), &b"\x02ex\x03key"[..], &b"hello"[..], true, &header[..])
    );
    for n in 0..out.len() {
        assert!(fast::publish(&out[..n], 0).is_none())
    }
    let mut d = Vec::new();
    fast::write_deliver(&mut d, 1, b"ctag", 9, true, p.envelope, p.header, b"hello", 12);
    let mut rest = &d[..];
    let mut frames = vec![];
    while let Some((f, n)) = frame::next_frame(rest, 0).unwrap() {
        frames.push(f);
        rest = &rest[n..];
    }
    assert!(rest.is_empty());
    assert_eq!(frames.len(), 4);
    assert!(
        matches!(Method::decode(frames[0].payload).unwrap(), Method::BasicDeliver(d) if d.delivery_tag == 9 && d.redelivered && d.routing_key == "key")
    );
}
