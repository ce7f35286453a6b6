//! From a published message to its records: one for the queues, and one more if an exchange holds it back, which says until when.

use std::ops::Range;

use stoa_core::ids::Millis;
use stoa_core::record::{BodyRef, Head, flags};
use stoa_core::topology::RouteTarget;

use super::properties::Checked;
use super::publish::{Body, Message};
use crate::bodies::APART_MIN;
use crate::broker::Broker;

/// The times that a message is stamped with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dues {
    /// When it expires in a queue.
    pub(super) expires: Option<Millis>,
    /// When a delayed-message exchange lets it go on.
    pub(super) held_until: Option<Millis>,
}

/// Appends the records of a message, and says which of them goes where. `targets` are the queues that it goes to, those that hold it back last; a body
/// that lies apart is referred to by all of them. `durable`: it must outlive the process in one of them.
pub(super) fn push_records(
    out: &mut Vec<u8>,
    broker: &Broker,
    message: Message<'_>,
    (checked, dues): (Checked, Dues),
    targets: &[RouteTarget],
    mut each: impl FnMut(Range<usize>, &[RouteTarget]),
) {
    let durable = checked.persistent && targets.iter().any(|target| target.durable);
    let apart_min = if checked.is_tuple { usize::MAX } else { APART_MIN };
    let body = Placed::new(broker, message.body, apart_min, targets.len() as u32, durable);
    let (queues, holding) = targets.split_at(targets.partition_point(|target| !target.delays));
    for (targets, due) in [(queues, dues.expires), (holding, dues.held_until)] {
        if targets.is_empty() {
            continue;
        }
        let head = Head {
            flags: if checked.persistent { flags::PERSISTENT } else { 0 },
            priority: checked.priority,
            due,
            envelope: message.envelope,
            header: message.header,
        };
        let start = out.len();
        body.push(out, head);
        each(start..out.len(), targets);
    }
}

/// A body where it stays.
enum Placed<'a> {
    /// In each record.
    Within(Body<'a>),
    Apart(BodyRef),
}

impl<'a> Placed<'a> {
    fn new(broker: &Broker, body: Body<'a>, apart_min: usize, references: u32, durable: bool) -> Self {
        let size = body.octets().len();
        if size < apart_min {
            return Self::Within(body);
        }
        let id = broker.bodies.insert(body.into_bytes(), references, durable);
        Self::Apart(BodyRef { id, size: size as u64 })
    }

    fn push(&self, out: &mut Vec<u8>, head: Head<'_>) {
        match self {
            Self::Within(body) => head.push(out, body.octets()),
            Self::Apart(body) => head.push_apart(out, *body),
        }
    }
}
