//! The record: one message as it lies in a queue's chunk, in the journal and in the store, in the wire's own shape.
//!
//! ```text
//!  0        4       5          6          8             12
//!  +--------+-------+----------+----------+-------------+----------+----------------+------+
//!  | length | flags | priority | envelope | header size | envelope | content header | body |
//!  |  u32   |  u8   |    u8    |   u16    |     u32     |          |                |      |
//!  +--------+-------+----------+----------+-------------+----------+----------------+------+
//! ```
//!
//! A record with the flag `TIMED` has `due u64` between the 12 octets and its envelope.
//!
//! Integers are little-endian; `length` counts the whole record. The envelope is the exchange and the routing key as short strings,
//! length octets included, and the content header is the payload of the header frame: a delivery copies both as they are.
//! A message is encoded once, on arrival. Nothing here looks into properties.
//!
//! A large body lies apart, once for all queues that its message is in: in place of the body such a record has a reference, `id u64, size u64`.

use crate::ids::{BodyId, Millis};

/// Octets before the envelope.
pub const PREFIX: usize = 12;

/// Octets of the time in a record that has one.
pub const DUE: usize = 8;

/// What the flags octet of a record says.
pub mod flags {
    /// `delivery-mode` 2: kept across restarts when its queue is durable.
    pub const PERSISTENT: u8 = 1;
    /// The body lies apart: the record has a [`BodyRef`](super::BodyRef) in its place.
    pub const APART: u8 = 2;
    /// Something is to be done with the message at a time that the record names: see [`Record::due`](super::Record::due).
    pub const TIMED: u8 = 4;
    /// Not a message: holds the place of one that was settled before a restart, so that its neighbours keep their sequences.
    pub const HOLE: u8 = 0x80;
}

/// One message, borrowed from wherever its bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// The record at the front of `bytes`, or `None` if they do not begin with a whole and consistent one.
    #[must_use]
    pub fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let prefix = bytes.first_chunk::<PREFIX>()?;
        let length = length_of(prefix);
        let record = bytes.get(..length).filter(|record| record.len() >= PREFIX)?;
        (Self(record).envelope_at() + Self(record).envelope_size() + Self(record).header_size() <= length).then_some(Self(record))
    }

    /// All octets of the record.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
    /// See [`flags`].
    #[must_use]
    pub fn flags(self) -> u8 {
        self.0[4]
    }
    /// Kept across restarts when its queue is durable.
    #[must_use]
    pub fn is_persistent(self) -> bool {
        self.flags() & flags::PERSISTENT != 0
    }
    /// The place of a message that was settled before a restart.
    #[must_use]
    pub fn is_hole(self) -> bool {
        self.flags() & flags::HOLE != 0
    }
    /// The property `priority`, 0 if it was not given.
    #[must_use]
    pub fn priority(self) -> u8 {
        self.0[5]
    }
    /// When the message expires, or, in a queue that holds messages back, when it goes on.
    #[must_use]
    pub fn due(self) -> Option<Millis> {
        if self.flags() & flags::TIMED == 0 {
            return None;
        }
        self.0[PREFIX..].first_chunk().map(|due| Millis(u64::from_le_bytes(*due)))
    }
    fn envelope_at(self) -> usize {
        PREFIX + if self.flags() & flags::TIMED == 0 { 0 } else { DUE }
    }
    fn envelope_size(self) -> usize {
        usize::from(u16::from_le_bytes([self.0[6], self.0[7]]))
    }
    fn header_size(self) -> usize {
        u32::from_le_bytes([self.0[8], self.0[9], self.0[10], self.0[11]]) as usize
    }
    /// Exchange and routing key, as short strings back to back.
    #[must_use]
    pub fn envelope(self) -> &'a [u8] {
        let at = self.envelope_at();
        &self.0[at..at + self.envelope_size()]
    }
    /// The payload of the content header frame.
    #[must_use]
    pub fn header(self) -> &'a [u8] {
        let at = self.envelope_at() + self.envelope_size();
        &self.0[at..at + self.header_size()]
    }
    /// Where the body lies if it lies apart.
    #[must_use]
    pub fn body_ref(self) -> Option<BodyRef> {
        if self.flags() & flags::APART == 0 {
            return None;
        }
        self.body().first_chunk().map(BodyRef::decode)
    }
    /// The content, or the reference to it.
    #[must_use]
    pub fn body(self) -> &'a [u8] {
        &self.0[self.envelope_at() + self.envelope_size() + self.header_size()..]
    }
}

/// A body that lies apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRef {
    /// Its name.
    pub id: BodyId,
    /// Its size in octets.
    pub size: u64,
}

impl BodyRef {
    /// As it stands in a record.
    #[must_use]
    pub fn encode(self) -> [u8; 16] {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&self.id.0.to_le_bytes());
        octets[8..].copy_from_slice(&self.size.to_le_bytes());
        octets
    }

    pub(crate) fn decode(octets: &[u8; 16]) -> Self {
        let [id, size] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|n| octets[at + n])));
        Self { id: BodyId(id), size }
    }
}

impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Record {{ flags: {}, priority: {}, body: {} octets }}",
            self.flags(),
            self.priority(),
            self.body().len()
        )
    }
}

fn length_of(prefix: &[u8; PREFIX]) -> usize {
    u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize
}

/// A run of whole records, back to back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records<'a> {
    /// The records' octets.
    pub bytes: &'a [u8],
    /// How many there are.
    pub count: u32,
}

impl<'a> Records<'a> {
    /// Walks over the records. Stops at octets that are no record, which a checksum has ruled out for what comes from disk.
    pub fn iter(self) -> impl Iterator<Item = Record<'a>> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let record = Record::first_of(rest)?;
            rest = &rest[record.bytes().len()..];
            Some(record)
        })
    }
}

/// Adds so many milliseconds to the time of each record that has one: what was encoded as a duration counts from then on.
pub fn put_off(records: &mut [u8], by_ms: u64) {
    let mut at = 0;
    while let Some(record) = Record::first_of(&records[at..]) {
        let (length, due) = (record.bytes().len(), record.due());
        if let Some(due) = due {
            let due = due.0.saturating_add(by_ms);
            records[at + PREFIX..at + PREFIX + DUE].copy_from_slice(&due.to_le_bytes());
        }
        at += length;
    }
}

/// The largest record, and so the largest message with its header and envelope: lengths are 32 bits wide.
pub const LENGTH_MAX: usize = u32::MAX as usize;

/// What stands in a record in front of the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// See [`flags`], but for `TIMED`, which follows from `due`.
    pub flags: u8,
    /// The property `priority`.
    pub priority: u8,
    /// See [`Record::due`].
    pub due: Option<Millis>,
    /// Exchange and routing key, as short strings back to back.
    pub envelope: &'a [u8],
    /// The payload of the content header frame.
    pub header: &'a [u8],
}

impl Head<'_> {
    /// Appends the beginning of a record whose body of `body_size` octets the caller appends next.
    ///
    /// # Panics
    /// As [`begin`].
    pub fn begin(&self, out: &mut Vec<u8>, body_size: usize) {
        let Some(due) = self.due else {
            return begin(out, self.flags, self.priority, self.envelope, self.header, body_size);
        };
        let (start, flags) = (out.len(), self.flags | flags::TIMED);
        begin(
            out,
            flags,
            self.priority,
            &[],
            &[],
            DUE + self.envelope.len() + self.header.len() + body_size,
        );
        assert!(self.envelope.len() <= 512, "an envelope of {} octets", self.envelope.len());
        out[start + 6..start + 8].copy_from_slice(&(self.envelope.len() as u16).to_le_bytes());
        out[start + 8..start + PREFIX].copy_from_slice(&(self.header.len() as u32).to_le_bytes());
        out.extend_from_slice(&due.0.to_le_bytes());
        out.extend_from_slice(self.envelope);
        out.extend_from_slice(self.header);
    }

    /// Appends a whole record.
    pub fn push(&self, out: &mut Vec<u8>, body: &[u8]) {
        self.begin(out, body.len());
        out.extend_from_slice(body);
    }

    /// Appends a whole record whose body lies apart.
    pub fn push_apart(self, out: &mut Vec<u8>, body: BodyRef) {
        let flags = self.flags | flags::APART;
        Self { flags, ..self }.push(out, &body.encode());
    }
}

/// Appends the beginning of a record whose body of `body_size` octets the caller appends next.
///
/// # Panics
/// If the record would pass [`LENGTH_MAX`] or the envelope 512 octets: `max_message_size` and the short strings' own limit rule both out.
pub fn begin(out: &mut Vec<u8>, flags: u8, priority: u8, envelope: &[u8], header: &[u8], body_size: usize) {
    let length = PREFIX + envelope.len() + header.len() + body_size;
    assert!(length <= LENGTH_MAX && envelope.len() <= 512, "a record of {length} octets");
    let mut prefix = [0; PREFIX];
    prefix[..4].copy_from_slice(&(length as u32).to_le_bytes());
    prefix[4] = flags;
    prefix[5] = priority;
    prefix[6..8].copy_from_slice(&(envelope.len() as u16).to_le_bytes());
    prefix[8..].copy_from_slice(&(header.len() as u32).to_le_bytes());
    out.reserve(length);
    out.extend_from_slice(&prefix);
    out.extend_from_slice(envelope);
    out.extend_from_slice(header);
}

/// Appends a whole record.
pub fn push(out: &mut Vec<u8>, flags: u8, priority: u8, envelope: &[u8], header: &[u8], body: &[u8]) {
    begin(out, flags, priority, envelope, header, body.len());
    out.extend_from_slice(body);
}

/// Appends a whole record whose body lies apart.
pub fn push_apart(out: &mut Vec<u8>, flags: u8, priority: u8, envelope: &[u8], header: &[u8], body: BodyRef) {
    push(out, flags | self::flags::APART, priority, envelope, header, &body.encode());
}

/// Appends the place of a message that is gone.
pub fn push_hole(out: &mut Vec<u8>) {
    push(out, flags::HOLE, 0, &[], &[], &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_what_was_written() {
        let mut bytes = Vec::new();
        push(&mut bytes, flags::PERSISTENT, 7, b"\x01x\x03key", b"header", b"body");
        push_hole(&mut bytes);
        let records: Vec<_> = Records { bytes: &bytes, count: 2 }.iter().collect();
        assert_eq!(records.len(), 2);
        let record = records[0];
        assert!(record.is_persistent() && !record.is_hole());
        assert_eq!(
            (record.priority(), record.envelope(), record.header(), record.body()),
            (7, &b"\x01x\x03key"[..], &b"header"[..], &b"body"[..])
        );
        assert!(records[1].is_hole());
    }

    #[test]
    fn a_record_says_when_it_is_due() {
        let head = Head {
            flags: flags::PERSISTENT,
            priority: 3,
            due: Some(Millis(1 << 40)),
            envelope: b"\0\x01q",
            header: b"header",
        };
        let (mut bytes, mut without) = (Vec::new(), Vec::new());
        head.push(&mut bytes, b"body");
        Head { due: None, ..head }.push(&mut without, b"body");
        assert_eq!((bytes.len(), without.len()), (12 + 8 + 3 + 6 + 4, 12 + 3 + 6 + 4));
        for (bytes, due) in [(&bytes, head.due), (&without, None)] {
            let record = Record::first_of(bytes).expect("a record");
            assert_eq!(
                (record.due(), record.priority(), record.envelope(), record.header(), record.body()),
                (due, 3, &b"\0\x01q"[..], &b"header"[..], &b"body"[..])
            );
        }
        for end in 0..bytes.len() {
            assert_eq!(Record::first_of(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn durations_in_a_run_become_times() {
        let mut run = Vec::new();
        for due in [None, Some(Millis(5)), Some(Millis(u64::MAX))] {
            let envelope = b"\0\x01q";
            Head {
                due,
                envelope,
                ..Head::default()
            }
            .push(&mut run, b"body");
        }
        put_off(&mut run, 1000);
        let records = Records { bytes: &run, count: 3 };
        let dues: Vec<_> = records.iter().map(Record::due).collect();
        assert_eq!(dues, [None, Some(Millis(1005)), Some(Millis(u64::MAX))]);
        assert!(
            records
                .iter()
                .all(|record| record.body() == b"body" && record.envelope() == b"\0\x01q")
        );
    }

    #[test]
    fn a_record_refers_to_a_body_that_lies_apart() {
        let body = BodyRef {
            id: BodyId(u64::MAX - 1),
            size: 1 << 33,
        };
        let mut bytes = Vec::new();
        push_apart(&mut bytes, flags::PERSISTENT, 0, b"\0\0", b"header", body);
        push(&mut bytes, 0, 0, b"\0\0", b"header", &body.encode());
        push(&mut bytes, flags::APART, 0, b"\0\0", b"header", b"too short");
        let refs: Vec<_> = Records { bytes: &bytes, count: 3 }.iter().map(Record::body_ref).collect();
        assert_eq!(refs, [Some(body), None, None]);
        assert!(Record::first_of(&bytes).is_some_and(Record::is_persistent));
    }

    #[test]
    fn what_is_cut_short_or_inconsistent_is_no_record() {
        let mut bytes = Vec::new();
        push(&mut bytes, 0, 0, b"\0\0", b"header", b"body");
        for end in 0..bytes.len() {
            assert_eq!(Record::first_of(&bytes[..end]), None, "cut at {end}");
        }
        bytes[8] = 200;
        assert_eq!(Record::first_of(&bytes), None, "a header longer than the record");
        assert_eq!(Record::first_of(&[0; PREFIX]), None, "a length of zero");
    }
}
