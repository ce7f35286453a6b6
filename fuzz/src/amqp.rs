//! The codec: whatever a peer sends is a value or an error, and what was read is written as it was.

use stoa_amqp::content::{self, ContentHeader, Properties};
use stoa_amqp::frame::{FrameKind, next_frame};
use stoa_amqp::{Method, RawTable, Table, WireError, fast};

/// An error can be reported: it has a text and closes a connection.
fn reportable(error: WireError) {
    assert!(!error.to_string().is_empty());
    assert!(error.code().is_hard());
}

/// The octets as a connection's input: cut into frames, which are decoded; publishes the fast way, too.
pub fn frames(octets: &[u8]) {
    let frame_max = if octets.len().is_multiple_of(2) { 0 } else { 64 };
    let mut rest = octets;
    loop {
        if let Some((publish, used)) = fast::publish(rest, frame_max) {
            publish_is_what_the_general_way_reads(publish, rest, used, frame_max);
        }
        let frame = match next_frame(rest, frame_max) {
            Ok(Some((frame, used))) => {
                rest = &rest[used..];
                frame
            }
            Ok(None) => return,
            Err(error) => return reportable(error),
        };
        match frame.kind {
            FrameKind::Method => methods(frame.payload),
            FrameKind::Header => header(frame.payload),
            FrameKind::Body | FrameKind::Heartbeat => {}
        }
    }
}

fn publish_is_what_the_general_way_reads(publish: fast::Publish<'_>, octets: &[u8], used: usize, frame_max: u32) {
    let (method, a) = next_frame(octets, frame_max).expect("a frame").expect("whole");
    let (header, b) = next_frame(&octets[a..], frame_max).expect("a frame").expect("whole");
    let Ok(Method::BasicPublish(general)) = Method::decode(method.payload) else {
        panic!("{publish:?} is no basic.publish");
    };
    assert_eq!((general.exchange, general.routing_key), (publish.exchange, publish.routing_key));
    assert_eq!((general.mandatory, general.immediate), (publish.mandatory, publish.immediate));
    assert_eq!((header.payload, method.channel), (publish.header, publish.channel));
    let body_size = ContentHeader::decode(header.payload).expect("a content header").body_size;
    assert_eq!(body_size, publish.body.len() as u64);
    let body_frame = if publish.body.is_empty() { 0 } else { publish.body.len() + 8 };
    assert_eq!(a + b + body_frame, used);
}

/// The octets as the payload of a method frame.
pub fn methods(octets: &[u8]) {
    match Method::decode(octets) {
        Err(error) => reportable(error),
        Ok(method) => {
            let mut again = Vec::new();
            method.encode(&mut again);
            assert_eq!(Method::decode(&again), Ok(method));
            assert_eq!(stoa_amqp::method::name_of(method.id().0, method.id().1), Some(method.name()));
        }
    }
}

/// The octets as the payload of a content header frame.
pub fn header(octets: &[u8]) {
    let header = match ContentHeader::decode(octets) {
        Err(error) => return reportable(error),
        Ok(header) => header,
    };
    let two = content::delivery_mode_and_priority(header.properties);
    match Properties::decode(header.properties) {
        Err(error) => reportable(error),
        Ok(properties) => {
            assert_eq!(two, Ok((properties.delivery_mode, properties.priority)));
            let mut again = Vec::new();
            properties.encode(&mut again);
            assert_eq!(Properties::decode(&again), Ok(properties));
        }
    }
}

/// The octets as the fields of a table, and as properties.
pub fn tables(octets: &[u8]) {
    match (Table::decode(octets), RawTable::new(octets)) {
        (Ok(table), Ok(raw)) => {
            let again = table.to_bytes();
            assert_eq!(again.len(), octets.len());
            assert_eq!(Table::decode(&again).as_ref(), Ok(&table));
            assert_eq!(raw.to_table(), table);
            assert!(table.depth() <= Table::DEPTH_MAX);
        }
        (Err(a), Err(b)) => {
            assert_eq!(a, b);
            reportable(a);
        }
        (a, b) => panic!("{a:?} built, {b:?} validated"),
    }
    header(&[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], octets].concat());
}
